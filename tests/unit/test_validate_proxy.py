# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sites of the reverse proxy and images: what the rules refuse, each with its path, reason and cure."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.validate_site import assert_only, found, site

SITE = {"host": "llm.example.com", "service": "litellm", "routes": "openai", "auth": "key"}
OWN = {"image": "acme/web:1.2.3", "user": "1000:1000", "healthcheck": {"test": ["CMD", "true"]}}
S = "reverse_proxy_sites[0]"
R = f"{S}.routes"


def one(**changes: Any) -> dict[str, Any]:
    return {**SITE, **changes}


def routes(*own: Any) -> dict[str, Any]:
    return one(routes=list(own))


# fmt: off
SITES: list[tuple[Any, str, str, str]] = [
    # hosts
    (one(host="https://llm.example.com"), f"{S}.host", "host name alone", "Write llm.example.com."),
    (one(host="llm.example.com/v1"), f"{S}.host", "host name alone", "Write llm.example.com."),
    (one(host="llm.example.com:8443"), f"{S}.host", "a port", "Write llm.example.com."),
    (one(host="*.example.com"), f"{S}.host", "pattern", "every name"),
    (one(host="_"), f"{S}.host", "pattern", "every name"),
    (one(host=".example.com"), f"{S}.host", "pattern", "every name"),
    (one(host="~^llm"), f"{S}.host", "pattern", "every name"),
    (one(host="LLM.example.com"), f"{S}.host", "lower case", "Write llm.example.com."),
    (one(host="llm example.com"), f"{S}.host", "not a host name", "llm.example.com"),
    (one(host="llm_x.example.com"), f"{S}.host", "not a host name", "llm.example.com"),
    (one(host="-llm.example.com"), f"{S}.host", "not a host name", "llm.example.com"),
    (one(host="llm..example.com"), f"{S}.host", "not a host name", "llm.example.com"),
    (one(host="llm.example.com."), f"{S}.host", "not a host name", "llm.example.com"),
    (one(host="bücher.example"), f"{S}.host", "not a host name", "xn--"),
    (one(host="a" * 64 + ".example"), f"{S}.host", "not a host name", "llm.example.com"),
    (one(host="llm.example.com; return 200"), f"{S}.host", "not a host name", "llm.example.com"),
    (one(host="llm.example.com\nx"), f"{S}.host", "not a host name", "llm.example.com"),
    (one(host="$host"), f"{S}.host", "not a host name", "llm.example.com"),
    (one(host=True), f"{S}.host", "truth value", "quotes"),
    ({k: v for k, v in SITE.items() if k != "host"}, f"{S}.host", "required", "Set it"),
    (one(hosts="x.example"), f"{S}.hosts", "not a list", "- item"),
    (one(hosts=["x.example", "X.example"]), f"{S}.hosts[1]", "lower case", "Write x.example."),
    (one(hosts=["llm.example.com"]), f"{S}.hosts[0]", "same name", "names of its own"),
    # services
    (one(service="litelm", port=1), f"{S}.service", "No such service", 'mean "litellm"'),
    (one(service="n8n", port=5678), f"{S}.service", "there are litellm", "stack_services"),
    (one(service="reverse_proxy", port=8080), f"{S}.service", "proxy itself", "litellm"),
    ({k: v for k, v in SITE.items() if k != "service"}, f"{S}.service", "required", "Set it"),
    (one(service="web"), f"{S}.port", "web listens is not known", "Set it"),
    (one(port=0), f"{S}.port", "from 1 to 65,535", "range"),
    (one(port=65536), f"{S}.port", "from 1 to 65,535", "range"),
    (one(port="http"), f"{S}.port", "whole number", "digits"),
    # routes
    (one(routes="opnai"), R, "no such allow-list", 'mean "openai"'),
    (one(routes="all"), R, "there are openai", "{path:"),
    (one(routes="/v1/models"), R, "no method", "{path: /v1/models"),
    (one(routes=5), R, "neither", "allow-list"),
    (one(routes={"path": "/"}), R, "neither", "allow-list"),
    (routes(), R, "empty", "allow-list"),
    (routes("opnai"), f"{R}[0]", "no such allow-list", 'mean "openai"'),
    (routes("/v1/x"), f"{R}[0]", "no method", "{path: /v1/x"),
    (routes(7), f"{R}[0]", "neither", "allow-list"),
    (routes("openai", "openai"), f"{R}[1]", "already", "Remove one"),
    (routes({"methods": ["GET"]}), f"{R}[0].path", "required", "routes like"),
    (routes({"path": "v1/x"}), f"{R}[0].path", "slash", "Write /v1/x."),
    (routes({"path": "/v1/.*"}), f"{R}[0].path", "plain path", "one route for each"),
    (routes({"path": "/*"}), f"{R}[0].path", "no patterns", "one route for each"),
    (routes({"path": "/x?y=1"}), f"{R}[0].path", "no query", "one route for each"),
    (routes({"path": "/a/../b"}), f"{R}[0].path", "no dot segments", "one route for each"),
    (routes({"path": "/a//b"}), f"{R}[0].path", "plain path", "one route for each"),
    (routes({"path": "/a%2fb"}), f"{R}[0].path", "no escapes", "one route for each"),
    (routes({"path": "/a;}"}), f"{R}[0].path", "plain path", "one route for each"),
    (routes({"path": "/a\n"}), f"{R}[0].path", "plain path", "one route for each"),
    (routes({"path": "/a b"}), f"{R}[0].path", "plain path", "one route for each"),
    (routes({"path": "/a", "method": "GET"}), f"{R}[0].method", "no such key", 'mean "methods"'),
    (routes({"path": "/a", "methods": "GET"}), f"{R}[0].methods", "not a list", "[GET, POST]"),
    (routes({"path": "/a", "methods": []}), f"{R}[0].methods", "not a list", "[GET, POST]"),
    (routes({"path": "/a", "methods": ["get"]}), f"{R}[0].methods[0]", "none of", 'mean "GET"'),
    (routes({"path": "/a", "methods": ["TRACE"]}), f"{R}[0].methods[0]", "none of", "one of them"),
    (routes({"path": "/a"}, {"path": "/a"}), f"{R}[1]", "already", "several methods"),
    # the rest of a site
    (one(auth="keys"), f"{S}.auth", "none of key, none", 'mean "key"'),
    (one(auth="basic"), f"{S}.auth", "none of key, none", "one of them"),
    (one(rate_limit={"per_ip": "20/s"}), f"{S}.rate_limit.per_ip", "not a rate", "20r/s"),
    (one(rate_limit={"per_ip": "20r/h"}), f"{S}.rate_limit.per_ip", "not a rate", "60r/m"),
    (one(rate_limit={"per_ip": 20}), f"{S}.rate_limit.per_ip", "not a rate", "20r/s"),
    (one(rate_limit={"per_key": "0r/s"}), f"{S}.rate_limit.per_key", "not a rate", "20r/s"),
    (one(rate_limit={"per_key": "-1r/s"}), f"{S}.rate_limit.per_key", "not a rate", "20r/s"),
    (one(rate_limit={"per_key": "1.5r/s"}), f"{S}.rate_limit.per_key", "not a rate", "20r/s"),
    (one(rate_limit={"per_key": "999999r/s"}), f"{S}.rate_limit.per_key", "limits nothing", "lower"),
    (one(rate_limit={"per_key": "9r/s; x"}), f"{S}.rate_limit.per_key", "not a rate", "20r/s"),
    (one(rate_limit={"per_ips": "9r/s"}), f"{S}.rate_limit.per_ips", "no such key", 'mean "per_ip"'),
    (one(rate_limit={"burst": -1}), f"{S}.rate_limit.burst", "at least 0", "range"),
    (one(rate_limit="20r/s"), f"{S}.rate_limit", "not a mapping", "key: value"),
    (one(rate_limt={}), f"{S}.rate_limt", "no such key", 'mean "rate_limit"'),
    (one(body_size="32 MB"), f"{S}.body_size", "not a size", "32m"),
    (one(body_size="0"), f"{S}.body_size", "not a size", "above zero"),
    (one(timeouts={"read_seconds": 0}), f"{S}.timeouts.read_seconds", "from 1 to", "range"),
    (one(timeouts={"read_seconds": "10m"}), f"{S}.timeouts.read_seconds", "whole number", "without a unit"),
    (one(timeouts={"reed_seconds": 5}), f"{S}.timeouts.reed_seconds", "no such key", 'mean "read_seconds"'),
    ("llm.example.com", S, "not a mapping", "key: value"),
]
# fmt: on


@pytest.mark.parametrize(("wrong", "path", "reason", "cure"), SITES)
def test_a_wrong_site_is_one_fault_with_path_reason_and_cure(
    wrong: Any, path: str, reason: str, cure: str
) -> None:
    variables = site(reverse_proxy_sites=[wrong], stack_services={"web": {"compose": OWN}})
    assert_only(variables, path, reason, cure)


def test_two_sites_never_share_a_name() -> None:
    variables = site(reverse_proxy_sites=[SITE, one(host="b.example", hosts=["llm.example.com"])])
    assert_only(
        variables, "reverse_proxy_sites[1].hosts[0]", f"{S}.host is the same", "names of its own"
    )


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "::1", "a", "xn--bcher-kva.example", "1.example"]
)
def test_exact_names_and_addresses_are_good_hosts(host: str) -> None:
    assert found(site(reverse_proxy_sites=[one(host=host)])) == []


@pytest.mark.parametrize(
    "good",
    [
        one(rate_limit={"per_ip": "20r/s", "per_key": "60r/m", "burst": 0}),
        one(rate_limit={"per_ip": ""}),
        routes(
            "openai", {"path": "/v1/models/llama3.2", "methods": ["GET"]}, {"path": "/v1/rerank"}
        ),
        one(service="web", port=8080, auth="none", routes=[{"path": "/", "methods": ["GET"]}]),
        {"host": "llm.example.com", "service": "litellm"},
    ],
)
def test_good_sites_have_no_fault(good: dict[str, Any]) -> None:
    variables = site(reverse_proxy_sites=[good], stack_services={"web": {"compose": OWN}})
    assert found(variables) == []


DIGEST = "@sha256:" + "a" * 64
# fmt: off
IMAGES: list[tuple[str, str, str, str]] = [
    ("reverse_proxy_image", "nginx", "no version", "nginx:1.30.6"),
    ("reverse_proxy_image", "nginx:latest", "moves", "nginx:1.30.6"),
    ("reverse_proxy_image", "nginx:stable", "moves", "nginx:1.30.6"),
    ("reverse_proxy_image", "nginx:1.30", "not an exact version", "nginx:1.30.6"),
    ("reverse_proxy_image", "nginx:1.30.5", "CVE-2026-93479", "1.30.6 or newer"),
    ("reverse_proxy_image", "nginx:1.22.1-alpine", "CVE-2026-93479", "1.30.6 or newer"),
    ("reverse_proxy_image", "docker.io/library/nginx:1.9.99", "CVE-2026-93479", "1.30.6 or newer"),
    ("reverse_proxy_image", f"nginx:1.25.0{DIGEST}", "CVE-2026-93479", "1.30.6 or newer"),
    ("reverse_proxy_image", "nginx: 1.30.6", "not an image reference", "name:version"),
    ("reverse_proxy_image", "Nginx:1.30.6", "not an image reference", "name:version"),
    ("reverse_proxy_image", "nginx:1.30.6@sha256:12", "not an image reference", "name:version"),
    ("reverse_proxy_image", "https://ghcr.io/nginx:1.30.6", "not an image reference", "name:version"),
    ("litellm_image", "ghcr.io/berriai/litellm:main-latest", "moves", "litellm:1.84.0"),
    ("litellm_image", "ghcr.io/berriai/litellm:main-stable", "moves", "litellm:1.84.0"),
    ("litellm_image", "ghcr.io/berriai/litellm:v1-latest", "moves", "litellm:1.84.0"),
    ("litellm_image", "ghcr.io/berriai/litellm:v1.82.7", "thieves", "litellm:1.84.0"),
    ("litellm_image", "ghcr.io/berriai/litellm:v1.82.8-stable", "thieves", "litellm:1.84.0"),
    ("litellm_image", "ghcr.io/berriai/litellm-database:v1.83.14", "CVE-2026-49468", "1.84.0 or newer"),
    ("litellm_image", "localhost:5000/litellm:1.9.0", "CVE-2026-49468", "1.84.0 or newer"),
    ("litellm_image", "localhost:5000/litellm", "no version", "1.84.0"),
]
# fmt: on


@pytest.mark.parametrize(("variable", "image", "reason", "cure"), IMAGES)
def test_an_image_that_moves_or_is_not_safe_is_refused(
    variable: str, image: str, reason: str, cure: str
) -> None:
    assert_only(site(**{variable: image}), variable, reason, cure)


@pytest.mark.parametrize("variable", ["stack_services", "stack_overrides"])
def test_images_of_own_services_and_overrides_are_pinned_too(variable: str) -> None:
    name = "web" if variable == "stack_services" else "litellm"
    variables = site(**{variable: {name: {"compose": {**OWN, "image": "acme/web:edge"}}}})
    assert_only(variables, f"{variable}.{name}.compose.image", "moves", "acme/web:1.2.3")


@pytest.mark.parametrize(
    "image",
    [
        "nginx:1.30.6",
        "nginx:1.31.4-alpine",
        "localhost:5000/nginx:1.30.6",
        f"nginx{DIGEST}",
        "ghcr.io/berriai/litellm:v1.84.0",
        "ghcr.io/berriai/litellm:v1.106.2-stable",
        "postgres:17",
    ],
)
def test_pinned_safe_images_are_good(image: str) -> None:
    assert found(site(reverse_proxy_image=image)) == []
