# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What passes the proxy, and what it becomes on the way."""

from __future__ import annotations

import json
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.reverse_proxy_box import UNLIMITED, Box, raw, running
from tests.rig.commands import run
from tests.unit.reverse_proxy_rendered import load, site

if TYPE_CHECKING:
    from collections.abc import Iterator

SITES = [
    site(host="llm.test", hosts=["127.0.0.1"], rate_limit=UNLIMITED),
    site(host="open.test", auth="none", rate_limit=UNLIMITED),
    site(host="own.test", routes=[{"path": "/v1/models/one", "methods": ["GET", "DELETE"]}]),
]
OPENAI = {
    route["path"]: route["methods"][0]
    for route in load("vars/main.yml")["__reverse_proxy_routes"]["openai"]
}
BLANKED = load("vars/main.yml")["__reverse_proxy_blanked_headers"]
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
    variables = {"reverse_proxy_aliases": ["llama-nginx"]}
    with running(tmp_path_factory.mktemp("proxy"), SITES, variables) as box:
        yield box


@pytest.fixture
def fresh(box: Box) -> Box:
    box.forget()
    return box


def received(box: Box) -> dict[str, str]:
    """The headers of the only request that reached the service."""
    (request,) = box.seen()
    names = [name for name, _rest in request["headers"]]
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

FORGED_HOSTS = """
evil.test llm.test.evil.test evil.llm.test xllm.test llm.testx llm test .llm.test llm.test.. - _ ~llm * *.test . ..
llm.test@evil.test evil.test@llm.test llm.test/ /llm.test llm.test/../admin llm.test# llm.test? llm.test,evil.test
llm.test;evil.test llm.test%00 %6clm.test llm%2etest llm\u3002test \uff4c\uff4c\uff4d.test "llm.test" 'llm.test'
litellm litellm:4000 localhost localhost:4000 127.0.0.2 0.0.0.0 [::1] [::1]:8080 ::1 169.254.169.254 $host ${host}
host.docker.internal metadata.google.internal admin down.test.llm.test <llm.test> llm.test:x:y :8080
"""
ODD_HOSTS = ["", " ", "llm.test evil.test", "llm.test\tx", "l\x00lm.test", "a" * 300 + ".test"]


def test_a_forged_host_reaches_nothing(fresh: Box) -> None:
    forged = [*FORGED_HOSTS.split(), *ODD_HOSTS]
    assert len(forged) >= 50
    for host in forged:
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
