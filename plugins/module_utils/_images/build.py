# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build an image from distribution and language packages, without a base image. Private to this collection.

mmdebstrap makes the root file system out of Debian packages, the recipe's script finishes it from the inside, and the
engine imports it as it comes. No registry, no BuildKit, and the network is the host's: a proxy on the box's own
loopback works as well.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Callable

from ansible_collections.gpubox.llm.plugins.module_utils._images.decide import (
    LABEL,
    ImageError,
    Recipe,
)
from ansible_collections.gpubox.llm.plugins.module_utils._images.engine import Images
from ansible_collections.gpubox.llm.plugins.module_utils._images.words import cure, last_lines

__all__ = ["PREFIX", "Builder", "Settings", "Talker", "ensure_tools"]

CHUNK = 1 << 20
TELL_EVERY_SECONDS = 10
PREFIX = "gpubox-images-"
SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
OPTIONS = (
    "--variant=essential",
    "--format=tar",
    # What is wanted is pinned by version; a mirror or snapshot may be older than its own date allows.
    '--aptopt=Acquire::Check-Valid-Until "false"',
    '--aptopt=Acquire::Retries "3"',
    '--aptopt=Acquire::http::Timeout "20"',
    '--aptopt=Acquire::https::Timeout "20"',
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
)
# $1 is the new root. Nothing of the box may stay in it: no addresses, no CA, no mirror (whose URL may hold a password).
HOOK = """set -e
cp -R "${0%/*}/files" "$1/build"
cp /etc/hosts "$1/etc/hosts"
if [ -s "$1/build/ca.crt" ]; then
  export SSL_CERT_FILE=/build/ca.crt PIP_CERT=/build/ca.crt
fi
HOME=/build TMPDIR=/build chroot "$1" sh -ec 'cd /build; . ./recipe.sh' >&2
rm -rf "$1/build"
: > "$1/etc/hosts"
: > "$1/etc/resolv.conf"
: > "$1/etc/hostname"
rm -f "$1/etc/apt/sources.list" "$1/etc/apt/apt.conf.d/99mmdebstrap"
"""
STEPS = {
    "running apt-get update": "reading the package lists",
    "downloading packages": "downloading packages",
    "extracting archives": "unpacking packages",
    "installing essential packages": "installing the base system",
    "installing remaining packages": "installing packages",
    "creating tarball": "handing the image to the engine",
}


@dataclass(frozen=True)
class Settings:
    """Where packages come from and where to build; none of it changes what is built."""

    mirror: str
    keyring: str
    work_dir: str
    pip_index_url: str = ""
    ca_file: str = ""
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""

    def environment(self, work: str) -> dict[str, str]:
        """All that the build sees of the box."""
        values = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LC_ALL": "C.UTF-8",
            "TMPDIR": work,
            "PIP_INDEX_URL": self.pip_index_url,
            "UV_DEFAULT_INDEX": self.pip_index_url,
        }
        for name in ("http_proxy", "https_proxy", "no_proxy"):
            value = getattr(self, name) or os.environ.get(name) or os.environ.get(name.upper())
            values[name] = values[name.upper()] = value or _apt_proxy(name)
        return {name: value for name, value in values.items() if value}

    def certificates(self) -> str:
        """The box's certificate authorities and the one named by the user."""
        text = ""
        if os.path.exists(SYSTEM_BUNDLE):
            text = _read(SYSTEM_BUNDLE)
        return text + ("\n" + _read(self.ca_file) if self.ca_file else "")


class Talker:
    """Says lines under a name, and the last one again with its age while nothing new comes."""

    def __init__(self, say: Callable[[str], None], name: str = "") -> None:
        self._say = say
        self._prefix = f"{name}: " if name else ""
        self._last, self._since = "", time.monotonic()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._repeat, daemon=True)

    def __call__(self, line: str) -> None:
        self._last, self._since = line, time.monotonic()
        self._say(self._prefix + line)

    def __enter__(self) -> Talker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _repeat(self) -> None:
        told = 0.0
        while not self._done.wait(1):
            age = time.monotonic() - self._since
            told = min(told, age)
            if self._last and age - told >= TELL_EVERY_SECONDS:
                told = age
                self._say(f"{self._prefix}still {self._last} ({age:.0f} s)")


def ensure_tools(say: Callable[[str], None]) -> None:
    """Have mmdebstrap, from the box's own distribution."""
    if shutil.which("mmdebstrap"):
        return
    if not shutil.which("apt-get"):
        raise ImageError(
            "images are built with mmdebstrap, which is not there, and this box has no apt to install it with. Use the "
            "official images (llm_images: registry), or put images saved on another box into local_images_archive_dir"
        )
    say("installing mmdebstrap, which builds the images")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    apt = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"]
    install = [*apt, "install", "--no-install-recommends", "mmdebstrap"]
    # The package lists may be missing or out of date; they are fetched only then.
    for command in (install, [*apt, "update"], install):
        # This is no module, whose run_command pylint would have.
        # pylint: disable-next=ansible-bad-function
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        if command is install and done.returncode == 0:
            return
    lines = last_lines(done.stdout.decode(errors="replace").splitlines())
    raise ImageError(
        "mmdebstrap, which builds the images, cannot be installed. apt-get said:\n  "
        + "\n  ".join(lines)
        + "\nThe box must reach its own package mirror; or use the official images (llm_images: registry)"
    )


class Builder:
    """Builds one image at a time; several builders work side by side."""

    def __init__(self, settings: Settings, images: Images, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._images = images
        self._say = say
        self._step = "starting"
        self._lines: deque[str] = deque(maxlen=200)

    def build(self, reference: str, recipe: Recipe) -> str:
        """Build and name the image; return its ID. Nothing is left behind if it fails."""
        with tempfile.TemporaryDirectory(prefix=PREFIX, dir=self._settings.work_dir) as work:
            os.chmod(work, 0o755)  # apt downloads as a user of its own
            self._lay_out(work, recipe)
            config = [*recipe.config, f'LABEL {LABEL}="{recipe.hash}"']
            image_id = self._run(work, recipe, config)
        self._images.name(image_id, reference)
        return image_id

    def _lay_out(self, work: str, recipe: Recipe) -> None:
        files = os.path.join(work, "files")
        os.mkdir(files, 0o700)
        _write(os.path.join(work, "keys.asc"), self._settings.keyring)
        _write(os.path.join(work, "hook.sh"), HOOK)
        _write(os.path.join(files, "recipe.sh"), recipe.script)
        _write(os.path.join(files, "ca.crt"), self._settings.certificates())
        for name, text in recipe.files.items():
            _write(os.path.join(files, name), text)

    def _run(self, work: str, recipe: Recipe, config: Sequence[str]) -> str:
        hook = f'sh {shlex.quote(os.path.join(work, "hook.sh"))} "$1"'
        command = ["mmdebstrap", *OPTIONS, f"--customize-hook={hook}"]
        command += [f"--include={','.join(recipe.packages)}"] if recipe.packages else []
        command += (
            [f'--aptopt=Acquire::https::CAInfo "{self._settings.ca_file}"']
            if self._settings.ca_file
            else []
        )
        # A module's run_command would show nothing until the end.
        # pylint: disable-next=ansible-bad-function
        process = subprocess.Popen(
            [*command, recipe.suite, "-", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._settings.environment(work),
            close_fds=False,  # it inherits the lock: see apply
        )
        source = f"deb [signed-by={work}/keys.asc] {self._settings.mirror} {recipe.suite} main\n"
        return self._import(process, source, config)

    def _import(self, process: Any, source: str, config: Sequence[str]) -> str:
        """Feed the root to the engine while it is written; take the image only if all of it came."""
        listener = threading.Thread(target=self._listen, args=(process.stderr,), daemon=True)
        image_id, trouble = "", None
        try:
            listener.start()
            process.stdin.write(source.encode())
            process.stdin.close()
            image_id = self._images.take(_root(process.stdout), config)
        except Exception as error:  # mmdebstrap's own words, which say more, are looked at first
            trouble = error
        finally:
            process.stdout.close()
            if trouble and process.poll() is None:
                process.terminate()
            status = process.wait()
            listener.join()
        if status == 0 and not trouble:
            return image_id
        if image_id:
            self._images.drop(image_id)
        raise self._failure(trouble)

    def _failure(self, trouble: BaseException | None) -> ImageError:
        said = last_lines(self._lines) or [str(trouble)]
        advice = cure(
            "\n".join(said),
            mirror=_public(self._settings.mirror),
            index=_public(self._settings.pip_index_url) or "https://pypi.org/simple",
            work_dir=self._settings.work_dir,
        )
        return ImageError(
            f"failed while {self._step}:\n  " + _public("\n  ".join(said)) + f"\n{advice}"
        )

    # -- progress --------------------------------------------------------------------------------------------

    def _listen(self, stream: Any) -> None:
        for raw in stream:
            line = raw.decode(errors="replace").rstrip()
            self._lines.append(line)
            step = _step(line)
            if step:
                self._step = step
                self._say(step)


def _apt_proxy(name: str) -> str:
    """The proxy of the box's own apt, where many boxes have their only one; mmdebstrap does not look there."""
    scheme = name.partition("_")[0]
    command = ["apt-config", "shell", "value", f"Acquire::{scheme}::Proxy"]
    try:
        # This is no module, whose run_command pylint would have.
        # pylint: disable-next=ansible-bad-function
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    except OSError:
        return ""
    value = "".join(shlex.split(done.stdout)).partition("=")[2]
    return "" if value == "DIRECT" else value


def _step(line: str) -> str:
    """The step that a line of mmdebstrap or of a recipe's script begins; empty if none."""
    if line.startswith("==> "):
        return line[4:]
    for start, step in STEPS.items():
        if line.startswith(f"I: {start}"):
            return step
    return ""


def _root(stream: Any) -> Iterator[bytes]:
    while True:
        chunk = stream.read(CHUNK)
        if not chunk:
            return
        yield chunk


def _public(text: str) -> str:
    """Without the user and password of a URL."""
    return re.sub(r"://[^/@\s]+@", "://***@", text)


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
