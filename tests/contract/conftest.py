# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each test runs twice: against the fake that the unit tests use, and against the real server."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.rig import models, ollama
from tests.unit.fakes.ollama import FakeOllama
from tests.unit.fakes.registry import FakeRegistry, Layer
from tests.unit.fakes.serve import serve


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def said(self) -> list[str]:
        """What each line says, once where it says the same several times."""
        texts = [line.get("status") or f"error: {line['error']}" for line in self.lines]
        return [text for i, text in enumerate(texts) if i == 0 or texts[i - 1] != text]


@dataclass(frozen=True)
class Server:
    """An Ollama server, and a registry that it can pull from without TLS."""

    url: str
    registry: FakeRegistry
    host: str  # the registry's

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        connection.request(method, path, content, headers)
        answer = connection.getresponse()
        named = {name.lower(): value for name, value in answer.getheaders()}
        whole = Answer(answer.status, named, answer.read())
        connection.close()
        return whole

    def pull(self, name: str, **more: Any) -> Answer:
        return self.ask("POST", "/api/pull", {"model": name, "insecure": True, **more})

    def upload(self, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert self.ask("POST", f"/api/blobs/{digest}", content).status in (200, 201)
        return digest

    def create(self, name: str, **parts: Any) -> Answer:
        return self.ask("POST", "/api/create", {"model": name, **parts})

    def have(self, name: str, *layers: Layer, **parts: Any) -> str:
        """A model made from the weights here, without a pull: the digest of them."""
        digest = self.upload(layers[0][1])
        assert self.create(name, files={"model.gguf": digest}, **parts).said[-1] == "success"
        return digest

    def show(self, name: str) -> dict[str, Any]:
        return self.ask("POST", "/api/show", {"model": name}).json

    @property
    def models(self) -> dict[str, dict[str, Any]]:
        return {model["name"]: model for model in self.ask("GET", "/api/tags").json["models"]}


@pytest.fixture(params=["fake", "real"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    with ExitStack() as stack:
        registry = FakeRegistry()
        place = stack.enter_context(serve(registry)).url
        host = urlsplit(place).netloc
        registry.redirects_to = place.replace("127.0.0.1", "localhost")
        if request.param == "real":
            url = stack.enter_context(ollama.running(tmp_path))
        else:
            fake = FakeOllama({host: registry}, bound="127.0.0.1")
            fake.plain.add(host)
            url = stack.enter_context(serve(fake)).url
        yield Server(url, registry, host)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model that completes."""
    return models.tiny(tmp_path_factory.mktemp("models") / "tiny.gguf").read_bytes()


@pytest.fixture(scope="session")
def embedding(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model that embeds, and no more."""
    path = tmp_path_factory.mktemp("models") / "embed.gguf"
    return models.tiny(path, 2, embedding=True).read_bytes()


@pytest.fixture(scope="session")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return models.adapter(tmp_path_factory.mktemp("models") / "lora.gguf").read_bytes()
