# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The limits under a flood, and reloads under load."""

from __future__ import annotations

import http.client
import itertools
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest

from tests.integration.reverse_proxy_box import KEY, Box, eventually, running
from tests.rig.commands import run
from tests.unit.reverse_proxy_rendered import site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RATE, BURST, FLOOD_SECONDS = 20, 5, 1.5
OFF = {
    "per_ip": "",
    "per_key": "",
    "connections_per_ip": 0,
    "connections_per_key": 0,
    "burst": BURST,
}
SITES = [
    site(host="llm.test", rate_limit=OFF),
    site(host="per-key.test", rate_limit=OFF | {"per_key": f"{RATE}r/s"}),
    site(host="per-ip.test", rate_limit=OFF | {"per_ip": f"{RATE}r/s"}),
    site(host="both.test", rate_limit=OFF | {"per_ip": f"{RATE}r/s", "per_key": "5r/s"}),
    site(host="streams.test", rate_limit=OFF | {"connections_per_ip": 5, "connections_per_key": 3}),
    site(host="slow.test", rate_limit=OFF | {"per_key": "10r/m", "burst": 0}),
]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    variables = {"reverse_proxy_header_seconds": 2, "reverse_proxy_body_seconds": 2}
    with running(tmp_path_factory.mktemp("proxy"), SITES, variables) as box:
        yield box


def flood(
    box: Box, host: str, headers: Callable[[int], dict[str, str]]
) -> tuple[Counter[int], float]:
    """Ask as fast as four connections can; the statuses, and how long it took."""
    count = itertools.count()
    start = time.monotonic()

    def one() -> Counter[int]:
        statuses: Counter[int] = Counter()
        with closing(box.connection()) as connection:
            while time.monotonic() - start < FLOOD_SECONDS:
                fields = {"Host": host, **headers(next(count))}
                connection.request("POST", "/v1/chat/completions", b"{}", fields)
                with connection.getresponse() as response:
                    assert response.status != 429 or response.headers["Retry-After"] == "1"
                    response.read()
                    statuses[response.status] += 1
        return statuses

    box.forget()
    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(one) for _turn in range(4)]
        return sum((part.result() for part in done), Counter()), time.monotonic() - start


SPELLINGS = (
    {"Authorization": "Bearer sk-fixed"},
    {"X-Api-Key": "sk-fixed"},
    {"X-Litellm-Api-Key": "sk-fixed"},
    {"Authorization": "Bearer sk-fixed", "X-Api-Key": "sk-other"},
    {"X-Litellm-Api-Key": "sk-fixed", "Authorization": "Bearer sk-other"},
)


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("per-key.test", lambda n: {"Authorization": "Bearer sk-fixed-1"}),
        ("per-key.test", lambda n: SPELLINGS[n % len(SPELLINGS)]),
        ("both.test", lambda n: {"Authorization": f"Bearer sk-random-{n}"}),
        (
            "per-ip.test",
            lambda n: {"Authorization": f"Bearer {n}", "X-Forwarded-For": f"10.0.0.{n % 250}"},
        ),
    ],
    ids=["fixed key", "one key in all spellings", "random keys", "rotated X-Forwarded-For"],
)
def test_a_limit_holds(box: Box, host: str, headers: Callable[[int], dict[str, str]]) -> None:
    statuses, seconds = flood(box, host, headers)
    assert set(statuses) == {200, 429}
    assert statuses[429] > 100
    assert len(box.seen()) == statuses[200] <= 1.1 * (RATE * seconds + BURST + 1)
    assert statuses[200] >= 0.8 * RATE * seconds


def test_without_a_key_nothing_is_accepted(box: Box) -> None:
    statuses, _rest = flood(box, "both.test", lambda n: {})
    assert set(statuses) == {401}
    assert box.seen() == []


@pytest.mark.parametrize(("keys", "limit"), [(1, 3), (12, 5)], ids=["one key", "many keys"])
def test_open_streams_are_counted(box: Box, keys: int, limit: int) -> None:
    def stream(number: int) -> int:
        key = f"sk-{number % keys}"
        return box.ask(
            host="streams.test", key=key, headers={"X-Behave": "stream", "X-Events": "3"}
        ).status

    with ThreadPoolExecutor(12) as pool:
        statuses = Counter(pool.map(stream, range(12)))
    assert statuses == {200: limit, 429: 12 - limit}


def test_a_refused_client_is_told_when_to_come_back(box: Box) -> None:
    answers = [box.ask(host="slow.test") for _turn in range(2)]
    assert [answer.status for answer in answers] == [200, 429]
    assert answers[1].all("Retry-After") == ["6"]
    assert answers[1].error["code"] == "rate_limit_exceeded"
    assert answers[1].error["type"] == "rate_limit_error"
    assert answers[1].all("X-Content-Type-Options") == ["nosniff"]


HEAD = b"POST /v1/completions HTTP/1.1\r\nHost: llm.test\r\nAuthorization: Bearer x\r\n"


@pytest.mark.parametrize(
    "part", [HEAD, HEAD + b"Content-Length: 9\r\n\r\n{"], ids=["header", "body"]
)
def test_slow_clients_neither_reach_the_service_nor_hold_up_others(box: Box, part: bytes) -> None:
    box.forget()
    with ExitStack() as stack:
        slow = [stack.enter_context(box.socket()) for _turn in range(300)]
        for connection in slow:
            connection.sendall(part)
        start = time.monotonic()
        assert [box.ask().status for _turn in range(50)] == [200] * 50
        assert time.monotonic() - start < 1.5
        assert len(box.seen()) == 50
        for connection in slow:
            assert b" 200 " not in connection.recv(1000)  # 408 or closed, after two seconds
        assert time.monotonic() - start < 5


class Load:
    """Clients that never stop asking, half of them on connections that they keep."""

    def __init__(self, box: Box) -> None:
        self.box, self.over = box, threading.Event()
        self.done = itertools.count()
        self.failures: list[str] = []

    def keep_asking(self, keep_connection: bool) -> None:
        connection = self.box.connection()
        headers = {"Host": "llm.test", "Authorization": f"Bearer {KEY}"}
        while not self.over.is_set():
            try:
                connection.request("POST", "/v1/chat/completions", b"{}", headers)
                with connection.getresponse() as response:
                    assert response.status == 200
                    response.read()
                next(self.done)
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.failures.append(repr(error))
                connection.close()
            if not keep_connection:
                connection.close()
        connection.close()


def test_reloads_lose_no_request_and_no_stream(box: Box) -> None:
    load = Load(box)
    started = run("docker", "inspect", "--format={{.State.StartedAt}}", box.container)
    with ThreadPoolExecutor(5) as pool:
        stream = pool.submit(box.stream_delays, events=10)
        try:
            for number in range(4):
                pool.submit(load.keep_asking, keep_connection=number % 2 == 0)
            for number in range(5):
                new = site(host=f"new{number}.test", rate_limit=OFF)
                box.write(box.render(reverse_proxy_sites=[*SITES, new]))
                box.reload()
                assert eventually(lambda host=new["host"]: box.ask(host=host).status == 200) < 5
            eventually(lambda: next(load.done) > 2500, seconds=30)
        finally:
            load.over.set()
        delays = stream.result()
    assert load.failures == []
    assert len(delays) == 10
    assert run("docker", "inspect", "--format={{.State.StartedAt}}", box.container) == started


@pytest.mark.parametrize(("rate", "code"), [("5r/s", 0), ("5 per second", 1)])
def test_the_role_s_own_check_needs_no_network_and_refuses_what_nginx_refuses(
    box: Box, rate: str, code: int
) -> None:
    definition = box.render(reverse_proxy_rate_limit_per_ip=rate, reverse_proxy_sites=[site()])
    candidate = Box(box.directory / f"candidate{code}", [], name=f"{box.name}-check")
    candidate.write(definition)
    program, *words = definition["validate"]
    done = subprocess.run(
        [
            *("docker", "run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL"),
            *(
                f"--user={definition['compose']['user']}",
                f"--tmpfs={definition['compose']['tmpfs'][0]}",
            ),
            f"--volume={candidate.directory}:{definition['files_dir']}:ro",
            *(f"--entrypoint={program}", definition["compose"]["image"], *words),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert ("limit_req_zone" in done.stderr) == bool(code)
