# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models in memory: loaded, listed, unloaded."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.contract.conftest import Answer, Server


def generate(server: Server, **parts: Any) -> Answer:
    return server.ask("POST", "/api/generate", {"model": "own", **parts})


def running(server: Server) -> list[dict[str, Any]]:
    return server.ask("GET", "/api/ps").json["models"]


def seconds_left(model: dict[str, Any]) -> float:
    """A time with more digits than Python reads, and with a year that may be far away."""
    text = model["expires_at"]
    until = datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)
    return (until - datetime.now(UTC)).total_seconds()


@pytest.mark.parametrize("stream", [True, False])
def test_load_and_unload(server: Server, weights: bytes, stream: bool) -> None:
    server.have("own", ("model", weights))
    loaded = generate(server, stream=stream)
    assert loaded.status == 200
    assert loaded.headers["content-type"] == "application/json; charset=utf-8"
    assert set(loaded.json) == {"model", "created_at", "response", "done", "done_reason"}
    assert loaded.json["response"] == ""
    assert (loaded.json["model"], loaded.json["done_reason"]) == ("own", "load")
    (model,) = running(server)
    assert (model["name"], model["model"]) == ("own:latest", "own:latest")
    assert model["digest"] == server.models["own:latest"]["digest"]
    assert model["details"] == server.models["own:latest"]["details"]
    assert model["size_vram"] == 0
    assert model["size"] > 0
    assert model["context_length"] == 4096
    assert 240 < seconds_left(model) <= 301
    unloaded = generate(server, keep_alive=0, stream=stream)
    assert unloaded.status == 200
    assert (unloaded.json["done"], unloaded.json["done_reason"]) == (True, "unload")
    end = time.monotonic() + 10
    while running(server):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_unloading_what_is_not_loaded_is_no_error(server: Server, weights: bytes) -> None:
    server.have("own", ("model", weights))
    assert generate(server, keep_alive=0).json["done_reason"] == "unload"


@pytest.mark.parametrize(
    ("keep_alive", "least", "most"),
    [
        (60, 50, 61),
        ("10m", 590, 601),
        ("1h30m", 5390, 5401),
        (-1, 10**9, 10**10),
        ("-1s", 10**9, 10**10),
    ],
)
def test_how_long_it_stays(
    server: Server, weights: bytes, keep_alive: Any, least: int, most: int
) -> None:
    server.have("own", ("model", weights))
    assert generate(server, keep_alive=keep_alive).status == 200
    (model,) = running(server)
    assert least < seconds_left(model) <= most


def test_a_time_that_is_none(server: Server, weights: bytes) -> None:
    server.have("own", ("model", weights))
    answer = generate(server, keep_alive="soon")
    assert (answer.status, answer.json) == (400, {"error": 'time: invalid duration "soon"'})


def test_the_context_that_it_is_loaded_with(server: Server, weights: bytes) -> None:
    server.have("own", ("model", weights), parameters={"num_ctx": 512})
    generate(server)
    assert running(server)[0]["context_length"] == 512
    generate(server, options={"num_ctx": 256})
    assert running(server)[0]["context_length"] == 256


def test_an_embedding_model_is_loaded_by_embedding(server: Server, embedding: bytes) -> None:
    server.have("own", ("model", embedding))
    refused = generate(server)
    assert (refused.status, refused.json) == (400, {"error": '"own" does not support generate'})
    assert generate(server, keep_alive=0).json["done_reason"] == "unload"
    two = server.ask("POST", "/api/embed", {"model": "own", "input": ["hi", "ho"]}).json
    assert len(two["embeddings"]) == 2
    assert set(two) == {
        *("model", "embeddings", "total_duration", "load_duration", "prompt_eval_count"),
    }
    for vector in two["embeddings"]:
        assert sum(number**2 for number in vector) == pytest.approx(1, rel=1e-3)
    assert [model["name"] for model in running(server)] == ["own:latest"]
    nothing = server.ask("POST", "/api/embed", {"model": "own"})
    assert nothing.json == {"model": "own", "embeddings": []}


def test_a_deleted_model_stays_in_memory(server: Server, weights: bytes) -> None:
    server.have("own", ("model", weights))
    generate(server)
    assert server.ask("DELETE", "/api/delete", {"model": "own"}).status == 200
    assert [model["name"] for model in running(server)] == ["own:latest"]
    assert generate(server, keep_alive=0).status == 404


def test_an_answer(server: Server, weights: bytes) -> None:
    server.have("own", ("model", weights))
    answer = generate(server, prompt="hello", stream=False, options={"num_predict": 4})
    assert answer.status == 200
    assert {"response", "done_reason", "prompt_eval_count", "eval_count"} <= set(answer.json)
    assert answer.json["eval_count"] > 0
