# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real Ollama, built from the Go module proxy: the one server that tests run, as a process or as an image."""

from __future__ import annotations

import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.rig.commands import cache_lock, digest, run

# The newest that is whole when Go alone builds it: from 0.14 on, CMake builds the part that runs the models.
VERSION = "0.13.5"
MODULE = "github.com/ollama/ollama"
# Headers that its repository holds and its Go module lacks.
HEADER_PACKAGES = ("libstb-dev", "nlohmann-json3-dev")
MINIAUDIO = (
    "miniaudio==1.71 --hash=sha256:ff51e2887bb673e2e757752b586b3dc924d59aa5fbcae9bbc45f4a111bd3262b"
)


def binary() -> Path:
    """The program ``ollama``; the first call builds it (minutes of one core), later ones find it."""
    recipe = digest(VERSION, *HEADER_PACKAGES, MINIAUDIO)
    with cache_lock("ollama") as cache:
        program = cache / f"ollama-{VERSION}-{recipe}" / "ollama"
        if not program.exists():
            program.parent.mkdir(parents=True, exist_ok=True)
            _build(program)
    return program


def _build(target: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        work.chmod(0o777)  # apt downloads as its own user
        _headers(work)
        stamp = f"-s -w -X {MODULE}/version.Version={VERSION}"
        environment = {
            "CGO_CPPFLAGS": f"-I{work / 'include'} -I{work / 'usr/include'}",
            "GOBIN": str(work / "bin"),
        }
        build = ["nice", "go", "install", "-p", "1", "-trimpath", "-ldflags", stamp]
        words = [f"{name}={value}" for name, value in environment.items()]
        run("env", *words, *build, f"{MODULE}@v{VERSION}", cwd=Path("/"))
        shutil.copy2(work / "bin" / "ollama", target.with_suffix(".new"))
    target.with_suffix(".new").rename(target)


def _headers(work: Path) -> None:
    """``include/miniaudio/miniaudio.h`` and ``usr/include/{stb,nlohmann}`` in the directory."""
    run("apt-get", "download", "-q", *HEADER_PACKAGES, cwd=work)
    for package in work.glob("*.deb"):
        run("dpkg-deb", "--extract", package, work)
    (work / "headers.txt").write_text(MINIAUDIO)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--quiet",
        "download",
        "--no-deps",
        "--no-binary",
        "miniaudio",
    ]
    run(*pip, "--require-hashes", "--requirement", work / "headers.txt", "--dest", work)
    with tarfile.open(next(work.glob("miniaudio-*.tar.gz"))) as archive:
        member = next(n for n in archive.getnames() if n.endswith("/miniaudio.h"))
        header = archive.extractfile(member)
        assert header is not None
        content = header.read()
    (work / "include" / "miniaudio").mkdir(parents=True)
    (work / "include" / "miniaudio" / "miniaudio.h").write_bytes(content)
