# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ollama_model when servers, registries and the ways to them are not as they should be."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.gpubox.llm.plugins.module_utils._http import Http, Request, Response
from ansible_collections.gpubox.llm.plugins.module_utils._ollama import pull, registry, task
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.client import Event, Ollama
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.names import Name, OllamaError
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.pull import (
    Download,
    Limits,
    Meter,
)

from tests.unit.fakes.faults import DISK_FULL, TOO_OLD, Fault, json_line
from tests.unit.fakes.gguf import gguf
from tests.unit.ollama_world import World, actions


class Clock:
    """Time that goes by only when somebody sleeps or a test says so."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """No test waits: neither between attempts nor for a server that may come back."""
    found = Clock()
    monkeypatch.setattr(pull, "time", found)
    monkeypatch.setattr(registry, "RETRY_SECONDS", 0)
    monkeypatch.setattr(task, "SERVER_SECONDS", 0)
    return found


def big(world: World) -> int:
    content = gguf(size=100_000)
    world.registry.push("big", ("model", content))
    return sum(map(len, world.registry.blobs.values()))


# Interrupted downloads

INTERRUPTIONS = [
    Fault("/api/pull", lines=3, then="cut"),
    Fault("/api/pull", lines=3, then="end"),
    Fault("/api/pull", lines=3, then="stall"),
    Fault("/api/pull", lines=0, then="cut"),
    Fault("/api/pull", lines=4, text="max retries exceeded: unexpected EOF"),
    Fault("/api/pull", lines=1, text='Get "https://x/v2": dial tcp: i/o timeout'),
]


@pytest.mark.parametrize("fault", INTERRUPTIONS, ids=lambda f: f"{f.then}-{f.lines}")
def test_an_interrupted_download_goes_on_where_it_stopped(fault: Fault) -> None:
    world = World()
    size = big(world)
    fault.times = 1
    world.server.faults = [fault]
    assert world.run("big").changed
    assert world.server.names == {"big:latest": world.registry.digest("big")}
    assert world.server.count("POST", "/api/pull") == 2
    assert world.registry.fetched() <= size * 1.1


def test_a_download_that_gets_no_further_is_given_up(clock: Clock) -> None:
    world = World("base:1")
    world.server.faults = [Fault("/api/pull", lines=1, then="cut", times=99)]
    said = world.says("base:1", retries=3)
    assert "base:1 cannot be pulled: after 4 attempts in a row it got no further" in said
    assert "what was downloaded is kept" in said
    assert clock.slept == [1, 2, 4]


def test_a_download_that_gets_further_each_time_is_not_given_up() -> None:
    world = World()
    big(world)
    # Each attempt gets one more part than the one before.
    world.server.faults = [Fault("/api/pull", lines=2 + n, then="cut") for n in range(1, 5)]
    assert world.run("big", retries=1).changed


def test_a_damaged_download_is_fetched_again() -> None:
    world = World("base:1")
    model = next(digest for digest, data in world.registry.blobs.items() if len(data) == 4096)
    good, world.registry.blobs[model] = world.registry.blobs[model], b"x" * 4096

    def mend(asked: Any) -> None:
        if world.server.count("POST", "/api/pull") == 2:
            world.registry.blobs[model] = good

    world.server.meanwhile = mend
    assert world.run("base:1").changed
    assert world.server.count("POST", "/api/pull") == 2


def test_a_registry_that_always_sends_damaged_files_is_no_success() -> None:
    world = World("base:1")
    model = next(digest for digest, data in world.registry.blobs.items() if len(data) == 4096)
    world.registry.blobs[model] = b"x" * 4096
    said = world.says("base:1", retries=2)
    assert "digest mismatch" in said
    assert world.server.names == {}


FINAL = [
    (DISK_FULL, "the server's disk is full. Free some space"),
    (f"pull model manifest: 412: {TOO_OLD}", "the server is too old for this model. Update Ollama"),
    ("pull model manifest: file does not exist", "no such model or tag"),
    ("pull model manifest: 401: unauthorized", "wants a login"),
    (
        'pull model manifest: Get "https://x/v2/": tls: x509: certificate signed by unknown authority',
        "ca_file",
    ),
]


@pytest.mark.parametrize(("words", "reason"), FINAL)
def test_what_no_new_attempt_helps_against_is_not_tried_again(words: str, reason: str) -> None:
    world = World("base:1")
    world.server.faults = [Fault("/api/pull", lines=2, text=words, times=99)]
    said = world.says("base:1")
    assert reason in said
    assert words.split(":", maxsplit=1)[0] in said
    assert world.server.count("POST", "/api/pull") == 1


def test_one_model_that_fails_does_not_stop_the_others_and_all_failures_are_told() -> None:
    world = World("base:1", "bad:1", "worse:1")
    world.server.faults = [
        Fault("/api/pull", body='"bad:1"', lines=1, text=DISK_FULL),
        Fault("/api/pull", body='"worse:1"', lines=1, text=DISK_FULL),
    ]
    said = world.says("bad:1", "base:1", "worse:1")
    assert [line.split()[0] for line in said.splitlines()] == ["bad:1", "worse:1"]
    assert list(world.server.names) == ["base:1"]


# Side by side


def test_no_more_models_are_pulled_at_once_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"m{n}:1" for n in range(6)]
    world = World(*names)
    at_once: list[int] = []
    running, lock = [0], threading.Lock()
    two = threading.Barrier(2, timeout=10)
    true = world.server.route

    def counted(request: Request, asked: Any) -> Response:
        if asked.path != "/api/pull":
            return true(request, asked)
        with lock:
            running[0] += 1
            at_once.append(running[0])
        two.wait()  # only if there really are two
        answer = true(request, asked)

        def chunks() -> Iterator[bytes]:
            yield from answer.chunks()
            with lock:
                running[0] -= 1

        return Response(request, answer.status, answer.headers, chunks())

    monkeypatch.setattr(world.server, "route", counted)
    world.run(*names, concurrency=2)
    assert max(at_once) == 2
    assert len(at_once) == 6


def test_what_replaces_a_model_is_pulled_after_what_is_new() -> None:
    """Else its former files would be swept away while a new model, not listed yet, counts on them."""
    world = World("base:1")
    world.run("base:1")
    world.registry.push("base:1", ("model", gguf(size=8192)))
    world.registry.push("new", ("model", gguf(size=4096)))  # as base:1 was
    true = world.server.route

    def slow(request: Request, asked: Any) -> Response:
        answer = true(request, asked)
        if asked.path != "/api/pull" or asked.json["model"] != "new:latest":
            return answer

        def chunks() -> Iterator[bytes]:
            for chunk in answer.chunks():
                threading.Event().wait(0.2 if b"verifying" in chunk else 0)
                yield chunk

        return Response(request, answer.status, answer.headers, chunks())

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(world.server, "route", slow)
        world.run({"name": "base:1", "state": "latest"}, "new")
    needed = {layer["digest"] for m in world.server.store.manifests.values() for layer in m.layers}
    assert needed == set(world.server.store.blobs)


# Registries


def test_a_registry_that_is_down_is_told_for_each_model() -> None:
    world = World()
    del world.hosts["registry.ollama.ai"]
    said = world.says("base:1", "hf.co/a/b:1", "other")
    lines = said.splitlines()
    assert lines[0].startswith("base:1: its registry registry.ollama.ai cannot be asked")
    assert lines[1].startswith("hf.co/a/b:1: hf.co has no such model or tag")
    assert lines[2].startswith("other:latest: its registry registry.ollama.ai cannot be asked")


def test_a_server_that_is_too_old_is_told_before_anything_is_pulled() -> None:
    world = World("base:1")
    world.registry.faults = [Fault("/v2/", status=412, text=TOO_OLD, times=9)]
    said = world.says("base:1")
    assert "base:1: the server is too old for this model. Update Ollama" in said
    assert world.server.count("POST") == 0


def test_a_private_model_is_pulled_by_the_server_which_has_the_key() -> None:
    world = World("base:1")
    world.registry.faults = [Fault("/v2/", status=401, text="unauthorized", times=1)]
    outcome = world.run("base:1")
    assert outcome.changed
    assert outcome.after == {"base:1": "(known after apply)"}


def test_whether_a_private_model_is_the_latest_cannot_be_known() -> None:
    world = World("base:1")
    world.registry.faults = [Fault("/v2/", status=401, text="unauthorized", times=1)]
    said = world.says({"name": "base:1", "state": "latest"})
    assert "cannot be known, because it is private" in said


NO_MANIFESTS = [
    b"<html>log in first</html>",
    b"[]",
    b"{}",
    b'{"layers": [{"digest": "sha256:../../etc/passwd", "size": 1}]}',
    b'{"layers": [{"digest": "sha256:%s", "size": -1}]}' % (b"a" * 64),
]


@pytest.mark.parametrize("body", NO_MANIFESTS)
def test_what_is_no_manifest_is_refused(body: bytes) -> None:
    world = World("base:1")
    world.registry.manifests["library/base:1"] = body
    said = world.says("base:1")
    assert "what registry.ollama.ai sends is no manifest of a model" in said
    assert world.server.count("POST") == 0


# Servers


def test_another_server_than_ollama_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    body = b'{"models": "no"}'
    monkeypatch.setattr(
        world.server, "route", lambda request, asked: Response(request, 200, {}, [body])
    )
    assert "this is not how Ollama answers. Check the URL." in world.says("base:1")


def test_a_server_that_is_not_there_yet_is_an_empty_one_to_check_mode_alone() -> None:
    world = World("base:1")
    world.is_up = False
    predicted = world.run("base:1", check=True)
    assert actions(predicted) == {"base:1": "pull"}
    assert "a server that has no models yet" in world.warnings[0]
    assert "GET http://ollama:11434/api/tags: no connection" in world.says("base:1")


def test_the_empty_403_of_a_strange_host_name_is_explained() -> None:
    world = World()
    world.server.bound = "127.0.0.1"
    said = world.says("base:1")
    assert "403" in said
    assert "Use an address in the URL" in said


def test_success_without_the_model_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World("base:1")
    true = world.server.route

    def forgets(request: Request, asked: Any) -> Response:
        if asked.path == "/api/pull":
            return Response(request, 200, {}, [json_line({"status": "success"})])
        return true(request, asked)

    monkeypatch.setattr(world.server, "route", forgets)
    assert "the server said success, but does not list it" in world.says("base:1")


def test_a_model_that_cannot_be_created_is_named() -> None:
    world = World("base:1")
    world.server.faults = [Fault("/api/create", lines=0, text="unknown type")]
    said = world.says({"name": "mine", "from": "base:1"})
    assert said == "mine:latest cannot be created: unknown type"


# How far a download is


class Script:
    """A server that says these events, each so many seconds after the one before."""

    def __init__(self, clock: Clock, *attempts: list[tuple[float, dict[str, Any]]]) -> None:
        self.attempts = list(attempts)
        self.clock = clock

    def __call__(self, request: Request) -> Response:
        events = self.attempts.pop(0)

        def lines() -> Iterator[bytes]:
            for seconds, event in events:
                self.clock.now += seconds
                yield json_line(event)

        return Response(request, 200, {}, lines())


def layer(completed: int, total: int = 1000, digest: str = "sha256:aa") -> dict[str, Any]:
    return {"status": "pulling", "digest": digest, "total": total, "completed": completed}


def download(clock: Clock, *attempts: list[tuple[float, dict[str, Any]]], **limits: Any) -> Any:
    shown: list[str] = []
    server = Ollama(Http("http://ollama", Script(clock, *attempts)))
    Download(server, Limits(**limits), shown.append).run(Name.parse("base:1"), size=1000)
    return shown


SUCCESS = (0.0, {"status": "success"})


def test_a_download_that_says_much_but_gets_no_further_is_stalled(clock: Clock) -> None:
    stalls = [(0.06, layer(100))] * 200  # twelve seconds of it
    shown = download(
        clock, stalls, [(0.1, layer(100)), (1, layer(1000)), SUCCESS], stall_seconds=10
    )
    assert any("nothing came for 10 s" in line for line in shown)


def steady(start: int, speed: int, seconds: int) -> list[tuple[float, dict[str, Any]]]:
    """So many seconds of a layer that comes at one speed."""
    return [(1.0, layer(start + speed * n)) for n in range(1, seconds + 1)]


def test_a_download_that_has_become_a_crawl_is_begun_anew(clock: Clock) -> None:
    crawl = [*steady(0, 50, 15), *steady(750, 1, 30)]
    shown = download(clock, crawl, [*steady(760, 50, 4), (0.1, layer(1000)), SUCCESS])
    assert any("far slower than it was" in line for line in shown)
    assert clock.slept == [1]


def test_one_that_was_never_faster_is_left_alone(clock: Clock) -> None:
    slow = [(0.1, layer(0)), *steady(0, 2, 100), (0.1, layer(1000)), SUCCESS]
    assert not any("slower" in line for line in download(clock, slow))


def test_a_line_that_is_shared_by_more_is_no_crawl(clock: Clock) -> None:
    shared = [*steady(0, 40, 12), *steady(480, 10, 40), (0.1, layer(1000)), SUCCESS]
    assert not any("slower" in line for line in download(clock, shared))


def test_layers_are_not_compared_with_each_other(clock: Clock) -> None:
    other = [(1.0, layer(n, digest="sha256:bb")) for n in range(1, 30)]
    attempt = [*steady(0, 60, 15), (0.1, layer(1000)), *other, SUCCESS]
    assert not any("slower" in line for line in download(clock, attempt))


def test_verifying_takes_as_long_as_it_takes(clock: Clock) -> None:
    verify = (500.0, {"status": "verifying sha256 digest"})
    download(clock, [(1, layer(1000)), verify, (500.0, {"status": "writing manifest"}), SUCCESS])


def test_what_is_fetched_once_more_is_no_stall(clock: Clock) -> None:
    again = [(1.0, layer(done)) for done in range(0, 600, 10)]
    broken = (0.0, {"error": "unexpected EOF"})
    attempts = ([(1, layer(500)), broken], [*again, (1, layer(1000)), SUCCESS])
    assert download(clock, *attempts, stall_seconds=10, retries=1)


def test_percent_speed_and_time_left_are_shown(clock: Clock) -> None:
    size = 2_000_000_000
    meter = Meter(size)
    meter.take(Event("pulling", "sha256:aa", size, 500_000_000))  # was there before
    clock.now += 2
    meter.take(Event("pulling", "sha256:aa", size, 600_000_000))
    assert str(meter) == " 30 % of 2.0 GB, 50.0 MB/s, 0:28 left"


def test_before_a_size_is_known_none_is_shown() -> None:
    assert str(Meter()) == "asking the registry"


def test_in_stream_errors_and_early_ends_are_errors(clock: Clock) -> None:
    with pytest.raises(OllamaError, match="ended early, after 'writing manifest'"):
        download(clock, [(0, {"status": "writing manifest"})], retries=0)
