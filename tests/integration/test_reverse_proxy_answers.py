# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the proxy answers itself, how it passes answers on, what it logs, and a service that moves."""

from __future__ import annotations

import json
import time
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.reverse_proxy_box import (
    KEY,
    UNLIMITED,
    Answer,
    Box,
    eventually,
    raw,
    running,
)
from tests.rig.commands import run
from tests.unit.reverse_proxy_rendered import site

if TYPE_CHECKING:
    from collections.abc import Iterator

SITES = [
    site(host="llm.test", rate_limit=UNLIMITED, body_size="64k"),
    site(host="hasty.test", timeouts={"read_seconds": 1}),
    site(host="down.test", service="nobody", port=1234),
]
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with running(tmp_path_factory.mktemp("proxy"), SITES) as box:
        yield box


@pytest.fixture
def fresh(box: Box) -> Box:
    box.forget()
    return box


ERRORS: dict[int, dict[str, Any]] = {
    400: {"host": "a/b"},
    401: {"key": None},
    404: {"path": "/ui"},
    405: {"method": "DELETE"},
    413: {"body": b"x" * 70_000},
    414: {"path": "/" + "x" * 9000},
    431: {"headers": {"X-Long": "x" * 9000}},
    502: {"host": "down.test"},
    504: {"host": "hasty.test", "headers": {"X-Behave": "hang"}},
}


@pytest.mark.parametrize("status", ERRORS)
def test_an_error_of_the_proxy_has_the_shape_of_openai(fresh: Box, status: int) -> None:
    answer = fresh.ask(**ERRORS[status])
    assert answer.status == status
    assert answer.all("Content-Type") == ["application/json"]
    assert set(answer.json) == {"error"}
    assert set(answer.error) == {"message", "type", "param", "code"}
    assert answer.error["type"] == ("invalid_request_error" if status < 500 else "server_error")
    assert_secured(answer)
    assert len(fresh.seen()) == (1 if status == 504 else 0)


def assert_secured(answer: Answer) -> None:
    assert {name: answer.all(name) for name in SECURITY_HEADERS} == {
        name: [value] for name, value in SECURITY_HEADERS.items()
    }
    assert len(answer.all("X-Request-Id")) == 1


def test_what_is_no_http_at_all_is_answered_in_the_same_shape(box: Box) -> None:
    assert box.send(b"NONSENSE\r\n\r\n").error["code"] == "bad_request"
    assert box.send(b"GET / HTTP/9.9\r\nHost: llm.test\r\n\r\n").error["code"] == "http_version"


def test_an_error_of_the_service_passes_through(fresh: Box) -> None:
    answer = fresh.ask(headers={"X-Behave": "refuse"})
    assert (answer.status, answer.error["message"]) == (429, "from LiteLLM")
    assert_secured(answer)


def test_a_body_that_is_too_large_is_not_read_to_its_end_even_in_chunks(fresh: Box) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    request = raw("/v1/completions", "Transfer-Encoding: chunked", method="POST") + chunk * 2
    assert fresh.send(request).status == 413
    assert fresh.seen() == []


def test_an_answer_with_many_headers_passes(box: Box) -> None:
    assert len(box.ask(headers={"X-Behave": "many-headers"}).headers) > 80


def test_a_completion_is_never_asked_for_twice(fresh: Box) -> None:
    assert fresh.ask(headers={"X-Behave": "drop"}).status == 502
    assert len(fresh.seen()) == 1


def test_what_the_service_says_about_itself_stays_inside(fresh: Box) -> None:
    answer = fresh.ask()
    assert answer.all("X-Litellm-Version") == answer.all("X-Litellm-Model-Api-Base") == []
    assert answer.all("Server") == ["nginx"]
    assert (
        answer.all("X-Request-Id") == answer.all("X-Litellm-Call-Id") != ["the-service-has-its-own"]
    )


# Streams and logs


def test_a_stream_is_passed_on_event_by_event(box: Box) -> None:
    delays = box.stream_delays(events=5)
    assert len(delays) == 5
    assert median(delays) < 0.05
    assert max(delays) < 0.25  # less than the pause between two events, so none waited for the next


def test_the_log_tells_what_happened_and_no_secret(box: Box) -> None:
    secret = "sk-canary-query-5d1b"
    asked = box.ask("GET", f"/v1/models?api_key={secret}", headers={"X-Litellm-Api-Key": KEY})
    box.ask("GET", f"/nowhere?key={secret}")
    box.ask(path=f"/v1/completions?key={secret}", host="down.test")
    box.ask(path=f"/v1/completions?key={secret}", headers={"X-Behave": "drop"})
    assert box.healthy()
    time.sleep(0.3)
    logs = box.logs()
    assert KEY not in logs
    assert secret not in logs
    assert "healthz" not in logs
    lines = [json.loads(line) for line in logs.splitlines() if line.startswith("{")]
    line = next(line for line in lines if [line["request_id"]] == asked.all("X-Request-Id"))
    expected = {
        "site": "llm.test",
        "host": "llm.test",
        "method": "GET",
        "path": "/v1/models",
        "status": 200,
    }
    assert {name: line[name] for name in expected} == expected
    assert line["litellm_call_id"] == line["request_id"]
    assert line["response_bytes"] == len(asked.body)
    assert float(line["upstream_seconds"]) <= line["seconds"] + 0.01


# The service comes and goes


def test_a_service_with_a_new_address_is_followed(box: Box) -> None:
    before = box.address(box.upstream)
    squatter = f"{box.name}-squatter"
    run("docker", "network", "disconnect", f"{box.name}_app", box.upstream)
    try:
        run(
            *("docker", "run", "--detach", f"--name={squatter}", f"--network={box.name}_app"),
            box.image,
        )
        run("docker", "network", "connect", "--alias=litellm", f"{box.name}_app", box.upstream)
        assert box.address(box.upstream) != before
        assert eventually(lambda: box.ask().status == 200) < 10
    finally:
        run("docker", "rm", "--force", squatter)
