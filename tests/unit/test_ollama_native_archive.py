# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ollama_native does with files: archives fetched and unpacked, programs swapped, models' directories owned."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpubox.llm.plugins.module_utils._http import Request, Response
from ansible_collections.gpubox.llm.plugins.module_utils._ollama_native import (
    apply,
    archive,
    paths,
    plan,
)
from ansible_collections.gpubox.llm.plugins.module_utils._runner import TaskError

SUM = "a" * 64


def packed(tmp_path: Path, *members: tuple[str, bytes | str, bytes]) -> str:
    """A .tgz of (name, content or target, type)."""
    path = tmp_path / "archive.tgz"
    with tarfile.open(path, "w:gz") as tar:
        for name, content, kind in members:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = kind, 0o4777
            if isinstance(content, str):
                entry.linkname = content
                tar.addfile(entry)
            else:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return str(path)


FILE, LINK, HARD = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
PROGRAM = ("bin/ollama", b"program", FILE)


def test_an_archive_arrives_whole_and_without_what_is_not_needed(tmp_path: Path) -> None:
    path = packed(
        tmp_path,
        ("./bin/ollama", b"program", FILE),
        ("lib/ollama/cuda/libx.so.1", b"library", FILE),
        ("lib/ollama/cuda/libx.so", "libx.so.1", LINK),
        ("lib/ollama/liby.so", "lib/ollama/cuda/libx.so.1", HARD),
        ("share/doc/README", b"no", FILE),
    )
    target = tmp_path / "target"
    assert archive.survey([path]) == len(b"program" + b"library")
    archive.unpack([path], str(target))
    assert (target / "bin/ollama").read_bytes() == b"program"
    assert (target / "bin/ollama").stat().st_mode & 0o7777 == 0o755
    assert (target / "lib/ollama/cuda/libx.so").read_bytes() == b"library"
    assert (target / "lib/ollama/liby.so").read_bytes() == b"library"
    assert not (target / "share").exists()


@pytest.mark.parametrize(
    "member",
    [
        ("../evil", b"", FILE),
        ("/etc/cron.d/evil", b"", FILE),
        ("lib/ollama/../../../evil", b"", FILE),
        ("lib/ollama/x", "/etc/passwd", LINK),
        ("lib/ollama/x", "../../../../etc/passwd", LINK),
        ("lib/ollama/x", "etc/passwd", HARD),
        ("lib/ollama/x", "", tarfile.CHRTYPE),
        ("lib/ollama/x", "", tarfile.FIFOTYPE),
        ("bin/ollama", "../lib/ollama/x", LINK),
    ],
    ids=str,
)
def test_a_member_that_leads_out_is_refused(
    tmp_path: Path, member: tuple[str, bytes | str, bytes]
) -> None:
    with pytest.raises(TaskError, match="leads out"):
        archive.survey([packed(tmp_path, PROGRAM, member)])


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    link = ("lib/ollama/a", "b", LINK)
    with pytest.raises(TaskError, match="leads out"):
        archive.survey([packed(tmp_path, PROGRAM, link, ("lib/ollama/a/x", b"", FILE))])
    with pytest.raises(TaskError, match="twice"):
        archive.survey([packed(tmp_path, PROGRAM, link, ("lib/ollama/a", b"", FILE))])


@pytest.mark.parametrize("keep", [0, 1, 100, -100])
def test_a_damaged_archive_is_said_to_be_one(tmp_path: Path, keep: int) -> None:
    path = Path(packed(tmp_path, ("bin/ollama", os.urandom(4096), FILE)))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TaskError, match=r"cannot be unpacked|neither .tar.zst nor .tgz"):
        archive.survey([str(path)])


@pytest.mark.parametrize(
    ("source", "checksum", "words"),
    [
        ("http://example.com/x.tgz", SUM, "neither a file on the box nor an https URL"),
        ("ftp://example.com/x.tgz", SUM, "neither a file"),
        ("x.tgz", SUM, "neither a file"),
        ("https://example.com/x.tgz", "", "no SHA-256"),
        ("https://example.com/x.tgz", "md5:" + SUM, "no SHA-256"),
        ("https://example.com/x.tgz", "sha256:abc", "no SHA-256"),
    ],
)
def test_a_source_that_cannot_be_trusted_is_refused(source: str, checksum: str, words: str) -> None:
    with pytest.raises(TaskError, match=words):
        archive.check_source(source, checksum)


def served(content: bytes, status: int = 200) -> Callable[[Request], Response]:
    return lambda request: Response(
        request, status, {"Content-Length": str(len(content))}, [content]
    )


def test_a_download_is_checked_kept_and_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "DOWNLOADS", str(tmp_path / "downloads"))
    digest = archive._hash_file(packed(tmp_path, PROGRAM))
    good = archive.check_source("https://example.com/x.tgz", f"sha256:{digest}")
    content = (tmp_path / "archive.tgz").read_bytes()
    with pytest.raises(TaskError, match="tampered"):
        archive.fetch(good, served(content + b"x"))
    with pytest.raises(TaskError, match="answers 404"):
        archive.fetch(good, served(b"", 404))
    path = archive.fetch(good, served(content))
    assert Path(path).read_bytes() == content

    def never(request: Request) -> Response:
        raise AssertionError(request)

    assert archive.fetch(good, never) == path


def test_a_full_disk_is_noticed_before_the_first_byte(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="MiB left"):
        archive.room(str(tmp_path), 1 << 60, "the download")


# The swap


class Killed(BaseException):
    """The run ends here."""


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("BINARY", "LIBRARY", "STAGED", "KEPT"):
        monkeypatch.setattr(
            paths, name, str(tmp_path / Path(getattr(paths, name)).relative_to("/usr/local"))
        )
    parts = ((paths.BINARY, archive.BINARY), (paths.LIBRARY, archive.LIBRARY))
    monkeypatch.setattr(apply, "PARTS", parts)
    fill(tmp_path, "old")
    return tmp_path


def fill(root: Path, text: str) -> None:
    for name in ("bin", "lib/ollama"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "bin/ollama").write_text(text)
    (root / "lib/ollama" / text).write_text(text)


def content(prefix: Path) -> tuple[str, list[str]]:
    return (prefix / "bin/ollama").read_text(), sorted(os.listdir(prefix / "lib/ollama"))


def kill_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [step]

    def counting(function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return function(*arguments, **options)

        return call

    for module, name in ((os, "replace"), (os, "unlink"), (apply.shutil, "rmtree")):
        monkeypatch.setattr(module, name, counting(getattr(module, name)))


@pytest.mark.parametrize("step", range(8))
@pytest.mark.parametrize("end", ["forward", "back"])
def test_a_swap_that_was_killed_anywhere_ends_well_in_the_next_run(
    prefix: Path, step: int, end: str
) -> None:
    fill(Path(paths.STAGED), "new")
    with pytest.MonkeyPatch.context() as patch:
        kill_at(step, patch)
        try:
            apply._swap()
        except Killed:
            assert os.path.exists(paths.KEPT)  # what tells the next run
    shutil.rmtree(paths.STAGED, ignore_errors=True)
    fill(Path(paths.STAGED), "newer")
    apply._swap()
    assert content(prefix) == ("newer", ["newer"])
    if end == "back":
        apply._go_back({}, plan.Plan(install=True))
        assert content(prefix) == ("old", ["old"])
        assert not os.path.exists(paths.KEPT)


@pytest.mark.parametrize(
    ("names", "foreign"),
    [([], True), (["blobs"], True), (["lost+found"], True), (["manifests", "notes.txt"], True)],
)
def test_a_directory_of_models_becomes_the_services(
    tmp_path: Path, names: list[str], foreign: bool
) -> None:
    for name in names:
        (tmp_path / name).mkdir()
    assert apply.foreign_models(str(tmp_path)) is foreign
    assert apply.foreign_models(str(tmp_path / "none")) is True


def test_a_directory_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(TaskError, match="holds other things than models"):
        apply.foreign_models(str(tmp_path))
