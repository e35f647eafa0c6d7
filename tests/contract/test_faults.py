# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What only the fake can be made to do is what it says, over a socket as in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from ansible_collections.gpubox.llm.plugins.module_utils._http import (
    Cut,
    Request,
    Stalled,
    Transport,
    transport,
)

from tests.unit.fakes.faults import BUSY, DISK_FULL, Asked, Fault
from tests.unit.fakes.ollama import FakeOllama
from tests.unit.fakes.serve import serve

PULL = json.dumps({"model": "tiny"}).encode()


@contextmanager
def reached(fake: FakeOllama, way: str) -> Iterator[tuple[Transport, str]]:
    if way == "memory":
        yield fake, "http://127.0.0.1"
    else:
        with serve(fake) as server:
            yield transport(stall_seconds=0.3), server.url


@pytest.fixture
def fake() -> FakeOllama:
    fake = FakeOllama()
    fake.registries["registry.ollama.ai"].push("tiny")
    return fake


def pull(fake: FakeOllama, way: str) -> list[dict[str, object]]:
    with reached(fake, way) as (send, url):
        answer = send(Request("POST", f"{url}/api/pull", {}, PULL))
        return [json.loads(line) for line in answer.lines()]


@pytest.mark.parametrize("way", ["memory", "socket"])
def test_an_error_in_the_stream(fake: FakeOllama, way: str) -> None:
    fake.faults.append(Fault("/api/pull", lines=3, text=DISK_FULL))
    lines = pull(fake, way)
    assert (len(lines), lines[-1]) == (4, {"error": DISK_FULL})
    assert fake.names == {}
    assert pull(fake, way)[-1] == {"status": "success"}


@pytest.mark.parametrize("way", ["memory", "socket"])
def test_a_stream_that_ends_too_early(fake: FakeOllama, way: str) -> None:
    fake.faults.append(Fault("/api/pull", lines=3, then="end"))
    assert "success" not in [line["status"] for line in pull(fake, way)]


@pytest.mark.parametrize("way", ["memory", "socket"])
@pytest.mark.parametrize(("then", "error"), [("cut", Cut), ("stall", Stalled)])
def test_a_connection_that_breaks_or_goes_silent(
    fake: FakeOllama, way: str, then: str, error: type[Exception]
) -> None:
    fake.faults.append(Fault("/api/pull", then=then, size=100))
    with pytest.raises(error):
        pull(fake, way)
    assert fake.names == {}


@pytest.mark.parametrize("way", ["memory", "socket"])
def test_a_busy_server(fake: FakeOllama, way: str) -> None:
    fake.faults.append(Fault("/api/tags", times=2, status=503, text=BUSY))
    with reached(fake, way) as (send, url):
        answers = [send(Request("GET", f"{url}/api/tags")) for _unused in range(3)]
        assert [answer.status for answer in answers] == [503, 503, 200]
        assert answers[0].json() == {"error": BUSY}


def test_a_pull_goes_on_where_it_was(fake: FakeOllama) -> None:
    registry = fake.registries["registry.ollama.ai"]
    fake.faults.append(Fault("/api/pull", lines=4, then="end"))
    pull(fake, "memory")
    before = registry.fetched()
    assert 0 < before < 4096
    pull(fake, "memory")
    assert registry.fetched() == sum(layer["size"] for layer in registry.layers("tiny"))


def test_a_digest_that_moves_between_two_questions(fake: FakeOllama) -> None:
    registry = fake.registries["registry.ollama.ai"]
    first = registry.digest("tiny")
    question = Request("HEAD", "https://registry.ollama.ai/v2/library/tiny/manifests/latest")
    assert registry(question).headers["ollama-content-digest"] == first

    def push_another(_asked: Asked) -> None:
        registry.push("tiny", ("system", b"moved"))

    registry.meanwhile = push_another
    assert registry(question).headers["ollama-content-digest"] != first


def test_unneeded_blobs_go_at_a_restart_unless_they_are_kept(fake: FakeOllama) -> None:
    pull(fake, "memory")
    kept = set(fake.store.blobs)
    fake.store.add(b"needed by nobody")
    fake.noprune = True
    fake.restart()
    assert set(fake.store.blobs) > kept
    fake.noprune = False
    fake.restart()
    assert set(fake.store.blobs) == kept
