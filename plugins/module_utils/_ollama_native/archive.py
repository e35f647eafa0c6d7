# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The vendor's archive: fetched, checked, and unpacked without a way out. Private to this collection.

Everything is known before the first file is written: the checksum, every name and link inside, and the room it takes.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Literal, NamedTuple, cast
from urllib.parse import urlsplit

from ansible_collections.gpubox.llm.plugins.module_utils._http import Request, Transport
from ansible_collections.gpubox.llm.plugins.module_utils._ollama_native import paths
from ansible_collections.gpubox.llm.plugins.module_utils._runner import TaskError

__all__ = ["Archive", "check_source", "fetch", "safe_name", "survey", "unpack"]

BINARY, LIBRARY = "bin/ollama", "lib/ollama"
ZSTD, GZIP = b"\x28\xb5\x2f\xfd", b"\x1f\x8b"
CHUNK = 1 << 20
SPARE = 256 << 20  # what a box needs besides to stay usable


class Archive(NamedTuple):
    """One archive: where it comes from, and the SHA-256 of its bytes (64 hex digits)."""

    source: str
    checksum: str

    @property
    def is_file(self) -> bool:
        """Whether it lies on the box already."""
        return self.source.startswith("/")


def check_source(source: str, checksum: str) -> Archive:
    """Refuse a source that cannot be trusted or a checksum that is none."""
    kind, _colon, digits = checksum.rpartition(":")
    if (
        kind not in ("", "sha256")
        or len(digits) != 64
        or set(digits.lower()) - set("0123456789abcdef")
    ):
        raise TaskError(
            f"archives: the checksum {checksum!r} is no SHA-256. Give sha256: and 64 hexadecimal digits, as the "
            "vendor's release page and sha256sum say them."
        )
    parts = urlsplit(source)
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not (
        source.startswith("/") or parts.scheme == "https" or (parts.scheme == "http" and local)
    ):
        raise TaskError(
            f"archives: {_shown(source)!r} is neither a file on the box nor an https URL. Name one of them."
        )
    return Archive(source.replace("{arch}", _processor()), digits.lower())


def _processor() -> str:
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def _shown(source: str) -> str:
    parts = urlsplit(source)
    return source if not parts.username else parts._replace(netloc=parts.hostname or "").geturl()


def fetch(archive: Archive, transport: Transport) -> str:
    """Return the path of the archive's checked bytes; an earlier run's download is used."""
    if archive.is_file:
        if not os.path.isfile(archive.source):
            raise TaskError(
                f"archives: there is no file {archive.source} on the box. Copy it there, or name a URL."
            )
        _verify(archive, _hash_file(archive.source))
        return archive.source
    target = os.path.join(paths.DOWNLOADS, archive.checksum)
    if os.path.exists(target) and _hash_file(target) == archive.checksum:
        return target
    os.makedirs(paths.DOWNLOADS, mode=0o700, exist_ok=True)
    _verify(archive, _download(archive, transport, f"{target}.part"))
    os.replace(f"{target}.part", target)
    return target


def _download(archive: Archive, transport: Transport, target: str) -> str:
    digest = hashlib.sha256()
    with transport(Request("GET", archive.source)) as response:
        if response.status != 200:
            raise TaskError(
                f"archives: {response.request.shown} answers {response.status}. Check the URL and the version in it."
            )
        room(paths.DOWNLOADS, int(response.headers.get("content-length") or 0), "the download")
        with open(target, "wb") as stream:
            for chunk in response.chunks():
                digest.update(chunk)
                stream.write(chunk)
    return digest.hexdigest()


def _verify(archive: Archive, found: str) -> None:
    if found != archive.checksum:
        raise TaskError(
            f"archives: {_shown(archive.source)} has the SHA-256 {found}, not {archive.checksum}. It is another "
            "version, or it was tampered with. Nothing was changed; compare both with the vendor's release page."
        )


def _hash_file(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()


def room(folder: str, size: int, what: str) -> None:
    """Refuse what does not fit."""
    free = shutil.disk_usage(folder).free
    if size + SPARE > free:
        raise TaskError(
            f"{folder} has {free >> 20} MiB left, and {what} needs {(size + SPARE) >> 20} MiB. Nothing was changed; "
            "make room there."
        )


@contextmanager
def _opened(path: str) -> Iterator[tarfile.TarFile]:
    with open(path, "rb") as file:
        magic = file.read(4)
    if magic == ZSTD:
        # This is no module, whose run_command pylint would have.
        # pylint: disable-next=ansible-bad-function
        with subprocess.Popen(
            ["zstd", "-dcq", "--long=31", path], stdout=subprocess.PIPE
        ) as process:
            stream = cast("IO[bytes]", process.stdout)
            with _tar(path, stream, "r|") as tar:
                yield tar
            stream.read()  # what follows the end of the tar, so that zstd ends by itself
        if process.returncode:
            raise TaskError(f"archives: zstd cannot unpack {path} (status {process.returncode}).")
    elif magic[:2] == GZIP:
        with open(path, "rb") as file, _tar(path, file, "r|gz") as tar:
            yield tar
    else:
        raise TaskError(
            f"archives: {path} is neither .tar.zst nor .tgz. Name the archive of Ollama for Linux, "
            "ollama-linux-amd64.tar.zst for example."
        )


@contextmanager
def _tar(path: str, stream: IO[bytes], mode: Literal["r|", "r|gz"]) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(fileobj=stream, mode=mode) as tar:
            yield tar
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise TaskError(f"archives: {path} cannot be unpacked: {error}.") from error


def survey(files: Iterable[str]) -> int:
    """Go through archives without writing anything; return the bytes that unpacking takes."""
    size = 0
    seen: set[str] = set()
    links: set[str] = set()
    for path in files:
        with _opened(path) as tar:
            for member in tar:
                name = safe_name(member, links)
                if name in seen and not member.isdir():
                    raise TaskError(
                        f"archives: {path} holds {name!r} twice. It is no archive of Ollama."
                    )
                if name:
                    seen.add(name)
                    size += member.size
                    links |= {name} if member.issym() else set()
    if BINARY not in seen:
        raise TaskError(f"archives: none holds {BINARY}. Name the archive of Ollama for Linux.")
    return size


def safe_name(member: tarfile.TarInfo, links: set[str]) -> str:
    """Return the member's name, nothing for one that is not needed. ``links`` are the symbolic links before it."""
    name = posixpath.normpath(member.name)
    parents = {name[:i] for i, letter in enumerate(name) if letter == "/"}
    wanted = name in (BINARY, LIBRARY) or name.startswith(f"{LIBRARY}/")
    good = not name.startswith(("/", "..")) and not parents & links
    if member.issym() or member.islnk():
        base = posixpath.dirname(name) if member.issym() else ""
        target = posixpath.normpath(posixpath.join(base, member.linkname))
        good = good and (target + "/").startswith(f"{LIBRARY}/") and name != BINARY
    elif not (member.isreg() or member.isdir()):
        good = not wanted
    if not good:
        raise TaskError(
            f"archives: {member.name!r} leads out of the archive or is no file. Nothing was unpacked; this is no "
            "archive of Ollama."
        )
    return name if wanted else ""


def unpack(files: Iterable[str], target: str) -> None:
    """Unpack what ``survey`` found good; everything is root's, and nothing is more than readable to others."""
    for path in files:
        with _opened(path) as tar:
            for member in tar:
                name = safe_name(member, set())
                if name:
                    _write(tar, member, os.path.join(target, name), target)


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: str, target: str) -> None:
    os.makedirs(path if member.isdir() else os.path.dirname(path), mode=0o755, exist_ok=True)
    if member.issym():
        os.symlink(member.linkname, path)
    elif member.islnk():
        os.link(os.path.join(target, posixpath.normpath(member.linkname)), path)
    elif member.isreg():
        mode = 0o755 if member.mode & 0o111 else 0o644
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        content = cast("IO[bytes]", tar.extractfile(member))
        with os.fdopen(os.open(path, flags, mode), "wb") as stream:
            shutil.copyfileobj(content, stream, CHUNK)
        os.chmod(path, mode)
