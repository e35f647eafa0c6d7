# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is measured against: a registry's directory of models, the registry, an Ollama server."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.rig.commands import ROOT
from tests.rig.ollama import binary

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "application/vnd.ollama.image."
CONFIG = {"model_format": "gguf", "model_family": "llama", "model_type": "1M", "file_type": "F16"}
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback needs no proxy


@dataclass(frozen=True)
class Layer:
    """One file of a model, as manifests name it."""

    mediaType: str
    digest: str
    size: int


def noise(store: Path, kind: str, size: int, seed: int) -> Layer:
    """A layer of so many bytes that no compression makes smaller and no other seed has."""
    block = random.Random(seed).randbytes(1024 * 1024)
    target, hashed = store / "blobs" / f"new-{seed}", hashlib.sha256()
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        for start in range(0, size, len(block)):
            piece = (start.to_bytes(8, "big") + block[8:])[: size - start]
            hashed.update(piece)
            file.write(piece)
    target.rename(store / "blobs" / f"sha256-{hashed.hexdigest()}")
    return Layer(PREFIX + kind, f"sha256:{hashed.hexdigest()}", size)


def content(store: Path, media_type: str, data: bytes) -> Layer:
    """A layer with this in it."""
    digest = hashlib.sha256(data).hexdigest()
    (store / "blobs").mkdir(parents=True, exist_ok=True)
    (store / "blobs" / f"sha256-{digest}").write_bytes(data)
    return Layer(media_type, f"sha256:{digest}", len(data))


def publish(store: Path, model: str, layers: list[Layer]) -> None:
    """The model ``library/MODEL:latest`` out of these layers."""
    config = content(
        store,
        "application/vnd.docker.container.image.v1+json",
        json.dumps({**CONFIG, "name": model}).encode(),
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": vars(config),
        "layers": [vars(layer) for layer in layers],
    }
    path = store / "manifests" / "library" / model / "latest"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(manifest, separators=(",", ":")))


@dataclass(frozen=True)
class Registry:
    """The slow registry, running."""

    host: str

    def set_line(self, **setting: float) -> None:
        """Another line; counters begin anew."""
        self._control(json.dumps(setting).encode())

    def report(self) -> dict[str, int]:
        """What was asked since then."""
        found: dict[str, int] = json.loads(self._control(None))
        return found

    def _control(self, body: bytes | None) -> bytes:
        with DIRECT.open(f"http://{self.host}/control", body) as answer:
            return bytes(answer.read())


@contextmanager
def registry(store: Path) -> Iterator[Registry]:
    """Serve the directory."""
    command = [sys.executable, "-m", "tests.benchmarks.slow_registry", str(store)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Registry(f"127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.terminate()


@dataclass(frozen=True)
class Ollama:
    """A real Ollama server, running."""

    host: str
    models: Path
    log: Path

    @property
    def environment(self) -> dict[str, str]:
        """For its own command line."""
        home = str(self.models.parent)
        return {**os.environ, "OLLAMA_HOST": self.host, "HOME": home, "NO_PROXY": "*"}

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def requests(self) -> int:
        """How many it has answered so far, by its own log."""
        return len(re.findall(r"^\[GIN\] \d", self.log.read_text(), re.MULTILINE))

    def listed(self) -> dict[str, str]:
        """Name and digest of what it has."""
        with DIRECT.open(f"{self.url}/api/tags") as answer:
            data: dict[str, Any] = json.load(answer)
        return {model["name"]: model["digest"] for model in data["models"]}


@contextmanager
def ollama(scratch: Path) -> Iterator[Ollama]:
    """A server with an empty store of its own; all of it is removed afterwards."""
    program = binary()
    with tempfile.TemporaryDirectory(dir=scratch) as home:
        server = Ollama(f"127.0.0.1:{_free_port()}", Path(home) / "models", Path(home) / "log")
        with (
            server.log.open("wb") as log,
            subprocess.Popen(
                [program, "serve"],
                env={**server.environment, "OLLAMA_MODELS": str(server.models)},
                stdout=log,
                stderr=log,
            ) as process,
        ):
            try:
                _await(server)
                yield server
            finally:
                process.terminate()


def _await(server: Ollama) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            server.listed()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
