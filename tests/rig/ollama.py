# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real Ollama, built from the Go module proxy: the one server that tests run, as a process or as an image."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.rig import registry
from tests.rig.commands import CACHE, cache_lock, digest, run
from tests.rig.images import system_image

if TYPE_CHECKING:
    from collections.abc import Iterator

# The newest that is whole when Go alone builds it: from 0.14 on, CMake builds the part that runs the models.
VERSION = "0.13.5"
MODULE = "github.com/ollama/ollama"
# Headers that its repository holds and its Go module lacks.
HEADER_PACKAGES = ("libstb-dev", "nlohmann-json3-dev")
MINIAUDIO = (
    "miniaudio==1.71 --hash=sha256:ff51e2887bb673e2e757752b586b3dc924d59aa5fbcae9bbc45f4a111bd3262b"
)

NAME = f"ollama/ollama:{VERSION}"
ARCHIVE = CACHE / "archives" / f"{NAME.replace('/', '_').replace(':', '_')}.tar.gz"
RECIPE_LABEL = "gpubox.test.recipe"
# As the official image is: no curl, no health check, root unless told otherwise. Not older than what built the program.
BASE = ("ollama-base", "trixie", ("ca-certificates",), (), 'CMD ["bash"]')
DOCKERFILE = """
FROM {base}
COPY ollama /bin/ollama
ENV PATH=/usr/local/nvidia/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
    NVIDIA_DRIVER_CAPABILITIES=compute,utility NVIDIA_VISIBLE_DEVICES=all OLLAMA_HOST=0.0.0.0:11434
EXPOSE 11434
ENTRYPOINT ["/bin/ollama"]
CMD ["serve"]
"""


def binary() -> Path:
    """The program ``ollama``; the first call builds it (minutes of one core), later ones find it."""
    recipe = digest(VERSION, *HEADER_PACKAGES, MINIAUDIO)
    with cache_lock("ollama") as cache:
        program = cache / f"ollama-{VERSION}-{recipe}" / "ollama"
        if not program.exists():
            program.parent.mkdir(parents=True, exist_ok=True)
            _build(program)
    return program


@contextmanager
def running(home: Path, **environment: str) -> Iterator[str]:
    """The server as a process of this machine, on loopback; its address. Its log and models are in this directory."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    fixed = {"HOME": str(home), "OLLAMA_HOST": address, "OLLAMA_MODELS": str(home / "models")}
    with (home / "ollama.log").open("ab") as log:
        server = subprocess.Popen(
            [binary(), "serve"],
            env={"PATH": os.environ["PATH"], **fixed, **environment},
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for(f"http://{address}", server)
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait()


def image() -> str:
    """The server's image under its upstream name, on this machine's engine."""
    program = binary()
    label = f"{RECIPE_LABEL}={_recipe(program)}"
    with cache_lock("ollama-image"):
        if not run("docker", "images", "--quiet", "--filter", f"label={label}", NAME):
            dockerfile = DOCKERFILE.format(base=system_image(*BASE))
            build = ["docker", "build", "--quiet", "--label", label, "--tag", NAME, "--file", "-"]
            run(*build, program.parent, input_text=dockerfile)
    return NAME


def publish() -> None:
    """Have the image where test hosts find it: in the archives and, under its name, in the test registry."""
    recipe = _recipe(binary())
    done = CACHE / f"ollama-published-{recipe}"
    if done.exists() and ARCHIVE.exists():
        return
    image()
    with cache_lock("ollama-image"):
        registry.push(NAME)
        ARCHIVE.parent.mkdir(parents=True, exist_ok=True)
        new = ARCHIVE.with_suffix(".new")
        with new.open("wb") as archive:
            save = subprocess.Popen(["docker", "save", NAME], stdout=subprocess.PIPE)
            subprocess.run(["gzip", "-1"], stdin=save.stdout, stdout=archive, check=True)
            if save.wait() != 0:
                raise RuntimeError(f"docker save {NAME} failed")
        new.rename(ARCHIVE)
        done.touch()


def _wait_for(url: str, server: subprocess.Popen[bytes], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < end:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{url} does not answer")


def _recipe(program: Path) -> str:
    return digest(DOCKERFILE, *map(str, BASE), program.parent.name)


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
