# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ollama's own Python client: what it can do with the server, it can do with the fake."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from ollama import Client, ResponseError

from tests.contract.conftest import Server


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with closing(Client(host=server.url, timeout=60)) as client:
        yield client


def test_a_model_s_life(server: Server, client: Client, weights: bytes) -> None:
    server.registry.push("tiny", ("model", weights))
    name = f"{server.host}/library/tiny:latest"
    *_before, end = client.pull(name, insecure=True, stream=True)
    assert end.status == "success"
    (listed,) = client.list().models
    assert listed.model == name
    assert listed.digest == server.registry.digest("tiny")
    assert client.show(name).capabilities == ["completion"]

    made = client.create("mine", from_=name, system="Be brief.", parameters={"seed": 7})
    assert made.status == "success"
    shown = client.show("mine")
    assert shown.details is not None
    assert shown.details.parent_model == name
    assert shown.parameters == "seed                           7"

    assert client.generate("mine", keep_alive="10m").done_reason == "load"
    (running,) = client.ps().models
    assert (running.name, running.context_length) == ("mine:latest", 4096)
    assert running.expires_at is not None
    assert client.generate("mine", keep_alive=0).done_reason == "unload"

    assert client.copy("mine", "other").status == "success"
    for gone in ("mine", "other", name):
        assert client.delete(gone).status == "success"
    assert client.list().models == []


def test_what_a_client_is_told_of_errors(server: Server, client: Client) -> None:
    with pytest.raises(ResponseError, match="model 'none' not found") as missing:
        client.show("none")
    assert missing.value.status_code == 404
    with pytest.raises(ResponseError, match="pull model manifest: file does not exist"):
        list(client.pull(f"{server.host}/library/none", insecure=True, stream=True))


def test_a_model_of_a_file(
    client: Client, embedding: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("client") / "model.gguf"
    path.write_bytes(embedding)
    digest = client.create_blob(path)
    assert client.create("embed", files={"model.gguf": digest}).status == "success"
    assert len(client.embed("embed", "hi").embeddings) == 1
