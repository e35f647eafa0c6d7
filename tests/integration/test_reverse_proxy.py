# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What passes the proxy, what it becomes on the way, and what the proxy answers itself."""

from __future__ import annotations

import json
import time
import urllib.parse
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.reverse_proxy_box import KEY, Answer, Box, eventually
from tests.rig.commands import run
from tests.unit.reverse_proxy_rendered import load, site

if TYPE_CHECKING:
    from collections.abc import Iterator

UNLIMITED = {"per_ip": "", "per_key": "", "connections_per_ip": 0, "connections_per_key": 0}
SITES = [
    site(host="llm.test", hosts=["127.0.0.1"], rate_limit=UNLIMITED, body_size="64k"),
    site(host="open.test", auth="none", rate_limit=UNLIMITED),
    site(host="hasty.test", timeouts={"read_seconds": 1}),
    site(host="own.test", routes=[{"path": "/v1/models/one", "methods": ["GET", "DELETE"]}]),
    site(host="down.test", service="nobody", port=1234),
]
OPENAI = {
    route["path"]: route["methods"][0]
    for route in load("vars/main.yml")["__reverse_proxy_routes"]["openai"]
}
BLANKED = load("vars/main.yml")["__reverse_proxy_blanked_headers"]
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
LITELLM_ROUTES = [
    line.replace("{", "").replace("}", "")
    for line in Path(__file__)
    .with_name("reverse_proxy_litellm_routes.txt")
    .read_text()
    .splitlines()
    if not line.startswith("#") and line not in OPENAI
]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    directory = tmp_path_factory.mktemp("proxy")
    for parent in (directory, directory.parent, directory.parent.parent):
        parent.chmod(0o755)
    box = Box(directory, SITES, {"reverse_proxy_aliases": ["llama-nginx"]})
    try:
        box.start()
        # It starts while LiteLLM is not there, and says so.
        assert box.ask().status == 502
        box.start_upstream()
        eventually(lambda: box.ask().status == 200)
        yield box
    finally:
        box.stop()


@pytest.fixture
def fresh(box: Box) -> Box:
    box.forget()
    return box


def raw(path: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "Host: llm.test", f"Authorization: Bearer {KEY}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode()


def received(box: Box) -> dict[str, str]:
    """The headers of the only request that reached the service."""
    (request,) = box.seen()
    names = [name for name, _ in request["headers"]]
    assert len(names) == len(set(names))
    return dict(request["headers"])


# What passes


@pytest.mark.parametrize(("path", "method"), OPENAI.items())
def test_an_allowed_route_reaches_the_service_as_it_is(fresh: Box, path: str, method: str) -> None:
    assert fresh.ask(method, path).status == 200
    (request,) = fresh.seen()
    assert (request["method"], request["path"]) == (method, path)


@pytest.mark.parametrize(
    "path", ["//v1//models", "/v1/./models", "/x/../v1/models", "/v1%2fmodels", "/%761/models"]
)
def test_another_spelling_of_an_allowed_path_is_sent_on_in_one_spelling(
    fresh: Box, path: str
) -> None:
    assert fresh.send(raw(path)).status == 200
    assert [request["path"] for request in fresh.seen()] == ["/v1/models"]


def variants(path: str) -> list[bytes]:
    escaped = "/" + "".join(f"%{ord(c):02x}" for c in path[1:])
    paths = [
        path,
        path + "/",
        "/" + path,
        "/." + path,
        "/v1/.." + path,
        "/v1/chat/completions/../../.." + path,
        "/v1/models/%2e%2e/%2e%2e" + path,
        "/v1/models%2f..%2f.." + path.replace("/", "%2f"),
        "/v1/models;" + path,
        path + ";x",
        path + "?path=/v1/models",
        path + "%20",
        path.upper() if path != "/" else "//",
        escaped,
        "http://llm.test" + path,
    ]
    gets = [raw(urllib.parse.quote(p, safe="/%;?=:{}")) for p in paths]
    return [*gets, raw(path, "Content-Length: 0", method="POST"), raw(path, version="1.0")]


def test_no_other_route_of_litellm_is_reached_in_any_spelling(fresh: Box) -> None:
    assert len(LITELLM_ROUTES) > 800
    for route in LITELLM_ROUTES:
        for request in variants(route):
            assert fresh.send(request).status in (400, 404), request
    assert fresh.seen() == []


@pytest.mark.parametrize(
    "method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "LOCK", "MADEUP"]
)
def test_another_method_is_refused_with_the_right_one(fresh: Box, method: str) -> None:
    answer = fresh.ask(method)
    assert (answer.status, answer.all("Allow")) == (405, ["POST"])
    assert fresh.seen() == []


def test_own_routes_replace_the_named_list(fresh: Box) -> None:
    assert fresh.ask("DELETE", "/v1/models/one", host="own.test").status == 200
    assert fresh.ask("POST", "/v1/models/one", host="own.test").all("Allow") == ["GET, DELETE"]
    assert fresh.ask("GET", "/v1/models", host="own.test").status == 404
    assert [request["method"] for request in fresh.seen()] == ["DELETE"]


# Hosts

FORGED_HOSTS = [
    *(
        "evil.test",
        "llm.test.evil.test",
        "evil.llm.test",
        "xllm.test",
        "llm.testx",
        "llm",
        "test",
        ".llm.test",
    ),
    *(
        "llm.test@evil.test",
        "evil.test@llm.test",
        "llm.test/",
        "/llm.test",
        "llm.test/../admin",
        "llm.test#",
        "llm.test?",
    ),
    *(
        "llm.test evil.test",
        "llm.test,evil.test",
        "evil.test llm.test",
        "llm.test\tx",
        "llm.test;evil.test",
        "llm.test%00",
    ),
    *(
        "litellm",
        "litellm:4000",
        "localhost",
        "localhost:4000",
        "127.0.0.2",
        "0.0.0.0",
        "[::1]",
        "[::1]:8080",
        "::1",
    ),
    *(
        "reverse_proxy:8080:4000",
        "llm.test:x:y",
        "*",
        "*.test",
        "_",
        "-",
        "~llm",
        '"llm.test"',
        "'llm.test'",
        "<llm.test>",
    ),
    *(
        "",
        " ",
        ":8080",
        ".",
        "..",
        "%6clm.test",
        "llm%2etest",
        "llm\u3002test",
        "\uff4c\uff4c\uff4d.test",
        "l\x00lm.test",
        "a" * 300 + ".test",
    ),
    *(
        "169.254.169.254",
        "metadata.google.internal",
        "host.docker.internal",
        "admin",
        "down.test.llm.test",
        "$host",
        "${host}",
    ),
]


def test_a_forged_host_reaches_nothing(fresh: Box) -> None:
    assert len(FORGED_HOSTS) >= 50
    for host in FORGED_HOSTS:
        head = (
            b"GET /v1/models HTTP/1.1\r\nAuthorization: Bearer x\r\nHost: "
            + host.encode()
            + b"\r\n\r\n"
        )
        assert fresh.send(head).status in (400, 404), host
    assert fresh.seen() == []


@pytest.mark.parametrize(
    ("line", "hosts", "status"),
    [
        ("GET /v1/models HTTP/1.1", [], 400),
        ("GET /v1/models HTTP/1.0", [], 404),
        ("GET /v1/models HTTP/1.1", ["llm.test", "llm.test"], 400),
        ("GET /v1/models HTTP/1.1", ["llm.test", "evil.test"], 400),
        ("GET http://evil.test/v1/models HTTP/1.1", ["llm.test"], 404),
    ],
)
def test_a_missing_or_double_host_reaches_nothing(
    fresh: Box, line: str, hosts: list[str], status: int
) -> None:
    lines = [line, "Authorization: Bearer x", *(f"Host: {host}" for host in hosts), "", ""]
    assert fresh.send("\r\n".join(lines).encode()).status == status
    assert fresh.seen() == []


@pytest.mark.parametrize(
    "host", ["llm.test:80", "LLM.TEST", "127.0.0.1", "reverse_proxy:8080", "llama-nginx"]
)
def test_the_service_sees_the_name_of_the_site(fresh: Box, host: str) -> None:
    assert fresh.ask(host=host).status == 200
    assert received(fresh)["host"] == "llm.test"


# Headers


def test_who_the_client_is_says_the_proxy_alone(fresh: Box) -> None:
    forged = {name: "forged" for name in BLANKED if name not in ("TE", "Upgrade")}
    for name in (
        "X-Forwarded-For",
        "X-Real-IP",
        "X-Forwarded-Proto",
        "X-Request-Id",
        "X-Litellm-Call-Id",
    ):
        forged[name] = "forged"
    assert len(forged) > 60
    answer = fresh.ask(
        headers=forged | {"Cookie": "token=forged", "TE": "trailers", "Upgrade": "h2c"}
    )
    headers = received(fresh)
    assert "forged" not in str(headers)
    assert not {"te", "upgrade", "connection"} & set(headers)
    gateway = json.loads(run("docker", "inspect", fresh.container))[0]["NetworkSettings"][
        "Networks"
    ]
    addresses = {network["Gateway"] for network in gateway.values()}
    assert headers["x-forwarded-for"] == headers["x-real-ip"]
    assert headers["x-real-ip"] in addresses
    assert headers["x-forwarded-proto"] == "http"
    assert [headers["x-request-id"]] == answer.all("X-Request-Id")


def test_underscores_do_not_smuggle_a_header_past(fresh: Box) -> None:
    assert (
        fresh.send(raw("/v1/models", "X_Forwarded_For: forged", "Remote_User: forged")).status
        == 200
    )
    assert "forged" not in str(received(fresh))


def test_a_container_on_the_app_network_is_seen_with_its_own_address(fresh: Box) -> None:
    script = (
        "import urllib.request as u; u.urlopen(u.Request('http://llama-nginx:8080/v1/models',"
        " headers={'Authorization': 'Bearer x', 'X-Forwarded-For': '10.9.9.9'}))"
    )
    run("docker", "exec", fresh.upstream, "/usr/bin/python3", "-c", script)
    assert received(fresh)["x-forwarded-for"] == fresh.address(fresh.upstream)


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"Authorization": "Bearer one"}, "one"),
        ({"X-Litellm-Api-Key": "one"}, "one"),
        ({"X-Api-Key": "one"}, "one"),
        ({"X-Litellm-Api-Key": "one", "Authorization": "Basic dXNlcjpwYXNz"}, "one"),
        ({"X-Litellm-Api-Key": "one", "Authorization": "Bearer two", "X-Api-Key": "three"}, "one"),
        ({"Authorization": "Bearer two", "X-Api-Key": "three", "Api-Key": "four"}, "two"),
    ],
)
def test_a_key_arrives_in_one_spelling(fresh: Box, headers: dict[str, str], key: str) -> None:
    assert fresh.ask(key=None, headers=headers).status == 200
    arrived = received(fresh)
    assert arrived["authorization"] == f"Bearer {key}"
    assert not {"x-litellm-api-key", "x-api-key", "api-key"} & set(arrived)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"Authorization": "sk-without-scheme"},
        # LiteLLM would take each of these for the key sk-1: as many buckets of the limit as one likes.
        {"Authorization": "bearer sk-1"},
        {"Authorization": "Bearer Bearer sk-1"},
        {"Authorization": "Bearer sk-Bearer 1"},
        {"Authorization": "AWS4-HMAC-SHA256 x Credential=Bearer sk-1"},
        {"X-Litellm-Api-Key": "Bearer sk-1"},
        {"X-Litellm-Api-Key": "Basic sk-1"},
        {"Api-Key": "sk-1"},
        {"X-Goog-Api-Key": "sk-1"},
        {"Ocp-Apim-Subscription-Key": "sk-1"},
        {"Cookie": "token=sk-1"},
    ],
)
def test_without_a_key_in_a_known_form_it_is_401(fresh: Box, headers: dict[str, str]) -> None:
    answer = fresh.ask(key=None, headers=headers)
    assert (answer.status, answer.all("WWW-Authenticate")) == (401, ['Bearer realm="gateway"'])
    assert answer.error["code"] == "invalid_api_key"
    assert fresh.seen() == []


def test_an_open_site_passes_credentials_on_as_they_are(fresh: Box) -> None:
    assert (
        fresh.ask(
            host="open.test", key=None, headers={"X-Api-Key": "one", "Authorization": "Basic x"}
        ).status
        == 200
    )
    assert (received(fresh)["x-api-key"], received(fresh)["authorization"]) == ("one", "Basic x")


def test_what_the_service_says_about_itself_stays_inside(fresh: Box) -> None:
    answer = fresh.ask()
    assert answer.all("X-Litellm-Version") == answer.all("X-Litellm-Model-Api-Base") == []
    assert answer.all("Server") == ["nginx"]
    assert (
        answer.all("X-Request-Id") == answer.all("X-Litellm-Call-Id") != ["the-service-has-its-own"]
    )


# What the proxy answers itself

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
