# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role reverse_proxy makes of its variables, and which ones it refuses."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from tests.unit.reverse_proxy_rendered import load, rendered, site

OPTIONS = load("meta/argument_specs.yml")["argument_specs"]["main"]["options"]
VARS = load("vars/main.yml")


def config(**variables: Any) -> str:
    return str(rendered(**variables)["files"]["nginx.conf"])


@cache
def default_config() -> str:
    return config()


def config_of(*sites: dict[str, Any], **variables: Any) -> str:
    return config(reverse_proxy_sites=list(sites), **variables)


def compose(**variables: Any) -> dict[str, Any]:
    return dict(rendered(**variables)["compose"])


def locations(text: str) -> dict[str, str]:
    """The methods of every exact path that is passed on."""
    return dict(
        re.findall(r"location = (\S+) \{(?:[^}]*return 401; \})?\s*limit_except ([A-Z ]+) \{", text)
    )


def test_defaults_and_specification_agree() -> None:
    defaults = load("defaults/main.yml")
    assert {name: option["default"] for name, option in OPTIONS.items()} == defaults


@pytest.mark.parametrize(
    ("variables", "key", "value"),
    [
        ({}, "user", "101:101"),
        ({}, "read_only", True),
        ({}, "ports", ["127.0.0.1:8080:8080"]),
        ({"reverse_proxy_bind": "::1", "reverse_proxy_port": 80}, "ports", ["[::1]:80:8080"]),
        (
            {"reverse_proxy_aliases": ["llama-nginx"]},
            "networks",
            {n: {"aliases": ["llama-nginx"]} for n in ("edge", "app")},
        ),
        ({"reverse_proxy_image": "mirror.test/nginx:1.30.6"}, "image", "mirror.test/nginx:1.30.6"),
        ({"reverse_proxy_tmp_size": "1g"}, "tmpfs", ["/tmp:size=1g,uid=101,gid=101,mode=0700"]),
        ({"reverse_proxy_memory": "1g"}, "mem_limit", "1g"),
        ({"reverse_proxy_pids": 9}, "pids_limit", 9),
        ({"reverse_proxy_worker_connections": 512}, "ulimits", {"nofile": 1024}),
        ({"reverse_proxy_stop_seconds": 7}, "stop_grace_period", "7s"),
        (
            {"reverse_proxy_log_max_size": "1m", "reverse_proxy_log_max_files": 9},
            "logging",
            {"driver": "json-file", "options": {"max-size": "1m", "max-file": "9"}},
        ),
    ],
)
def test_the_container(variables: dict[str, Any], key: str, value: Any) -> None:
    assert compose(**variables)[key] == value


def test_the_health_check_asks_the_container_alone() -> None:
    assert compose()["healthcheck"]["test"][-1] == "http://127.0.0.1:8081/healthz"
    assert "listen 127.0.0.1:8081;" in config()


def test_every_command_uses_the_swapped_directory() -> None:
    service = rendered()
    path = "/etc/nginx-gpubox/current/nginx.conf"
    for command in (service["compose"]["entrypoint"], service["reload"], service["validate"]):
        assert command[:5] == ["nginx", "-e", "stderr", "-c", path]
    assert service["files_dir"] == "/etc/nginx-gpubox"
    includes = set(re.findall(r"include (\S+);", service["files"]["nginx.conf"]))
    assert includes == set(service["files"]) - {"nginx.conf"}


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"reverse_proxy_worker_processes": "auto"}, "worker_processes auto;"),
        ({"reverse_proxy_worker_connections": 512}, "worker_connections 512;"),
        ({"reverse_proxy_worker_connections": 512}, "worker_rlimit_nofile 1024;"),
        ({"reverse_proxy_drain_seconds": 60}, "worker_shutdown_timeout 60s;"),
        ({"reverse_proxy_header_seconds": 3}, "client_header_timeout 3s;"),
        ({"reverse_proxy_idle_seconds": 9}, "keepalive_timeout 9s;"),
        ({"reverse_proxy_body_seconds": 4}, "client_body_timeout 4s;"),
        ({"reverse_proxy_connect_seconds": 2}, "proxy_connect_timeout 2s;"),
        ({"reverse_proxy_read_seconds": 90}, "proxy_read_timeout 90s;"),
        ({"reverse_proxy_send_seconds": 30}, "proxy_send_timeout 30s;"),
        ({"reverse_proxy_body_size": "1m"}, "client_max_body_size 1m;"),
        ({"reverse_proxy_log_level": "info"}, "error_log stderr info;"),
        (
            {"reverse_proxy_rate_limit_per_ip": "1r/s"},
            "limit_req_zone $binary_remote_addr zone=requests_per_ip_1:10m rate=1r/s;",
        ),
        (
            {"reverse_proxy_rate_limit_per_key": "9r/m"},
            "limit_req_zone $gateway_key zone=requests_per_key_1:10m rate=9r/m;",
        ),
        (
            {"reverse_proxy_rate_limit_burst": 3},
            "limit_req zone=requests_per_ip_1 burst=3 nodelay;",
        ),
        ({"reverse_proxy_rate_limit_burst": 0}, "limit_req zone=requests_per_key_1;"),
        ({"reverse_proxy_rate_limit_connections_per_ip": 7}, "limit_conn connections_per_ip_1 7;"),
        (
            {"reverse_proxy_rate_limit_connections_per_key": 7},
            "limit_conn connections_per_key_1 7;",
        ),
    ],
)
def test_a_variable_reaches_nginx(variables: dict[str, Any], line: str) -> None:
    assert re.search(rf"^ *{re.escape(line)}$", config(**variables), re.MULTILINE)
    assert not re.search(rf"^ *{re.escape(line)}$", default_config(), re.MULTILINE)


@pytest.mark.parametrize(
    ("difference", "line"),
    [
        ({"hosts": ["127.0.0.1", "b.test"]}, "server_name llm.example.com 127.0.0.1 b.test;"),
        ({}, "proxy_set_header Host llm.example.com;"),
        ({"service": "other", "port": 81}, "server other:81 resolve;"),
        ({"service": "other", "port": 81}, "proxy_pass http://other_81/v1/models;"),
        ({"body_size": "5m"}, "client_max_body_size 5m;"),
        ({"timeouts": {"read_seconds": 5}}, "proxy_read_timeout 5s;"),
        (
            {"rate_limit": {"per_key": "3r/s"}},
            "limit_req_zone $gateway_key zone=requests_per_key_2:10m rate=3r/s;",
        ),
        ({"rate_limit": {"per_ip": "7r/m"}}, "llm.example.com 9;"),  # Retry-After
    ],
)
def test_a_site_has_its_own_settings(difference: dict[str, Any], line: str) -> None:
    first = site(host="first.test")
    assert line in config_of(first, site(**difference))
    assert line not in config_of(first)


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ("openai", {"/v1/models": "GET", "/v1/chat/completions": "POST"}),
        (
            ["openai", {"path": "/v1/models/x", "methods": ["GET", "PUT"]}],
            {"/v1/models/x": "GET PUT", "/v1/embeddings": "POST"},
        ),
        (["openai", {"path": "/v1/models", "methods": ["POST"]}], {"/v1/models": "POST"}),
    ],
)
def test_routes_are_named_lists_and_own_ones(routes: Any, expected: dict[str, str]) -> None:
    found = locations(config_of(site(routes=routes)))
    assert expected.items() <= found.items()


def test_own_routes_alone_are_all_there_is() -> None:
    assert locations(config_of(site(routes=[{"path": "/only"}]))) == {"/only": "POST"}


def test_each_path_is_passed_on_in_full() -> None:
    text = default_config()
    for path in locations(text):
        assert f"proxy_pass http://litellm_4000{path};" in text
    assert len(locations(text)) == len(VARS["__reverse_proxy_routes"]["openai"])


def test_only_the_first_site_answers_to_the_names_on_the_networks() -> None:
    text = config_of(
        site(host="a.test"), site(host="b.test"), reverse_proxy_aliases=["llama-nginx"]
    )
    assert "server_name a.test reverse_proxy llama-nginx;" in text
    assert "server_name b.test;" in text


def test_two_sites_of_one_service_share_its_upstream() -> None:
    text = config_of(site(host="a.test"), site(host="b.test"))
    assert text.count("upstream litellm_4000 {") == 1


def test_an_open_site_asks_for_no_key_and_limits_by_address_alone() -> None:
    text = config_of(site(auth="none"))
    assert "return 401" not in text
    assert "zone=requests_per_key" not in text
    assert "limit_conn connections_per_key" not in text
    assert "limit_req zone=requests_per_ip_1" in text


def test_an_empty_limit_is_none() -> None:
    off = {"per_ip": "", "per_key": "", "connections_per_ip": 0, "connections_per_key": 0}
    text = config_of(site(rate_limit=off))
    assert "limit_req zone" not in text
    assert "limit_conn connections" not in text


def test_without_sites_every_host_is_unknown() -> None:
    assert "proxy_pass http" not in config_of()


def test_lines_about_single_requests_stay_out_of_the_log_unless_asked_for() -> None:
    assert config().count("error_log") == 2
    assert config(reverse_proxy_log_request_errors=True).count("error_log") == 1


@pytest.mark.parametrize(
    "word", ["rewrite ", "set $", "$1", "~*", "location ~", "proxy_add_x_forwarded_for", "$host;"]
)
def test_what_had_memory_errors_or_trusts_the_client_is_not_used(word: str) -> None:
    files = rendered(reverse_proxy_sites=[site(), site(host="b.test", auth="none")])["files"]
    code = re.sub(r"#.*", "", "\n".join(files.values()))
    assert word not in code


def test_every_map_is_exact_and_the_only_condition_returns() -> None:
    text = default_config()
    assert not re.search(r'^ *"?~', text, re.MULTILINE)
    assert set(re.findall(r"if \(.*", text)) == {
        'if ($gateway_key !~ "^Bearer [!-~]+$") { return 401; }'
    }


def validate(**variables: Any) -> str:
    return "\n".join(ArgumentSpecValidator(OPTIONS).validate(variables).error_messages)


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"reverse_proxy_sites": [{"service": "litellm"}]}, "missing required arguments: host"),
        ({"reverse_proxy_sites": [{"host": "a.test"}]}, "missing required arguments: service"),
        ({"reverse_proxy_sites": [site(auth="maybe")]}, "value of auth must be one of: key, none"),
        ({"reverse_proxy_sites": [site(rout="openai")]}, "rout"),
        ({"reverse_proxy_sites": [site(rate_limit={"per_user": "1r/s"})]}, "per_user"),
        ({"reverse_proxy_sites": [site(timeouts={"read_seconds": "long"})]}, "read_seconds"),
        ({"reverse_proxy_sites": [site(port="http")]}, "port"),
        ({"reverse_proxy_port": "http"}, "reverse_proxy_port"),
        ({"reverse_proxy_log_level": "loud"}, "value of reverse_proxy_log_level must be one of"),
        ({"reverse_proxy_rate_limit_burst": "many"}, "reverse_proxy_rate_limit_burst"),
        ({"reverse_proxy_log_request_errors": "perhaps"}, "reverse_proxy_log_request_errors"),
    ],
)
def test_the_specification_refuses(variables: dict[str, Any], complaint: str) -> None:
    assert complaint in validate(**variables)


def test_the_specification_takes_a_full_site() -> None:
    full = site(
        hosts=["127.0.0.1"],
        port=4000,
        routes=["openai", {"path": "/x", "methods": ["GET"]}],
        auth="key",
        rate_limit={
            "per_ip": "1r/s",
            "per_key": "1r/m",
            "burst": 1,
            "connections_per_ip": 1,
            "connections_per_key": 1,
        },
        body_size="1m",
        timeouts={"connect_seconds": 1, "send_seconds": 1, "read_seconds": 1, "body_seconds": 1},
    )
    assert validate(reverse_proxy_sites=[full]) == ""
