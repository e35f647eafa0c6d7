# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mirror that docs/model-mirror.md describes, with the real server on the other end, over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from ollama import Client

from tests.rig import model_registry, models, ollama
from tests.rig.model_registry import Mirror


@pytest.fixture(scope="module")
def mirror() -> Mirror:
    return model_registry.up()


@pytest.fixture
def client(mirror: Mirror, tmp_path: Path) -> Iterator[Client]:
    with (
        ollama.running(tmp_path, SSL_CERT_FILE=str(mirror.ca)) as url,
        closing(Client(host=url, timeout=60)) as client,
    ):
        yield client


def test_models_come_from_it(mirror: Mirror, client: Client) -> None:
    digests = model_registry.standard(mirror)
    for name, digest in digests.items():
        assert client.pull(f"{mirror.host}/library/{name}").status == "success"
        listed = {model.model: model.digest for model in client.list().models}
        assert listed[f"{mirror.host}/library/{name}"] == digest
    assert client.generate(f"{mirror.host}/library/tiny", "hello").done
    (vector,) = client.embed(f"{mirror.host}/library/tiny-embed", "hello").embeddings
    assert len(vector) == models.WIDTH


def test_it_is_filled_as_the_document_says(mirror: Mirror, client: Client, tmp_path: Path) -> None:
    path = models.tiny(tmp_path / "model.gguf", seed=3)
    client.create("own", files={"model.gguf": client.create_blob(path)})
    there = f"{mirror.host}/filled/own:latest"
    client.copy("own", there)
    assert client.push(there).status == "success"
    client.delete(there)
    client.delete("own")
    assert client.pull(there).status == "success"
    assert client.show(there).capabilities == ["completion"]


def test_what_it_does_not_have_is_said(mirror: Mirror, client: Client) -> None:
    with pytest.raises(Exception, match="file does not exist"):
        client.pull(f"{mirror.host}/library/none")
