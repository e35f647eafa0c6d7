# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The box and its services: what the rules refuse, each with its path, reason and cure."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.validate_site import KEY, assert_only, found, site

OWN = {"image": "acme/web:1.2.3", "user": "1000:1000", "healthcheck": {"test": ["CMD", "true"]}}
POOLS = "docker_host_address_pools"
WEB = "stack_services.web"


def own(**changes: Any) -> dict[str, Any]:
    """An own service with parts of its Compose definition replaced; None removes one."""
    compose = {key: value for key, value in {**OWN, **changes}.items() if value is not None}
    return {"stack_services": {"web": {"compose": compose}}}


def beside(**more: Any) -> dict[str, Any]:
    """An own service with more beside its Compose definition."""
    return {"stack_services": {"web": {"compose": OWN, **more}}}


def networks(**more: Any) -> dict[str, Any]:
    return {"stack_networks": {"edge": {}, "app": {"internal": True}, **more}}


# fmt: off
CASES: list[tuple[dict[str, Any], str, str, str]] = [
    # directory and project
    ({"stack_home": "opt/gpubox"}, "stack_home", "not an absolute path", "/opt/gpubox"),
    ({"stack_home": "/opt/../etc/x"}, "stack_home", "not an absolute path", "/opt/gpubox"),
    ({"stack_home": "/opt/gpu box"}, "stack_home", "without spaces", "/opt/gpubox"),
    ({"stack_home": "/"}, "stack_home", "belongs to the system", "of its own"),
    ({"stack_home": "/opt"}, "stack_home", "belongs to the system", "of its own"),
    ({"stack_home": "/opt/"}, "stack_home", "belongs to the system", "of its own"),
    ({"stack_home": "/etc/gpubox"}, "stack_home", "belongs to the system", "of its own"),
    ({"stack_home": "/home/me"}, "stack_home", "belongs to the system", "of its own"),
    ({"stack_home": "/var/lib"}, "stack_home", "belongs to the system", "of its own"),
    ({"stack_home": "/usr/local/gpubox"}, "stack_home", "belongs to the system", "of its own"),
    ({"stack_home": False}, "stack_home", "truth value", "quotes"),
    ({"stack_project": "GPU Box"}, "stack_project", "lower-case", "gpubox"),
    ({"stack_project": "-box"}, "stack_project", "lower-case", "gpubox"),
    ({"stack_state": "absnt"}, "stack_state", "none of", 'mean "absent"'),
    ({"stack_remove_data": "perhaps"}, "stack_remove_data", "neither true nor false", "true or false"),
    ({"stack_wait_seconds": 0}, "stack_wait_seconds", "from 1 to", "range"),
    ({"stack_wait_seconds": "5m"}, "stack_wait_seconds", "whole number", "without a unit"),
    ({"stack_wait_seconds": 1.5}, "stack_wait_seconds", "whole number", "without a unit"),
    ({"stack_wait_seconds": float("inf")}, "stack_wait_seconds", "whole number", "without a unit"),
    ({"stack_min_free_bytes": -1}, "stack_min_free_bytes", "at least 0", "range"),
    ({"stack_min_free_bytes": True}, "stack_min_free_bytes", "whole number", "digits"),
    # own services
    ({"stack_services": []}, "stack_services", "not a mapping", "key: value"),
    ({"stack_services": {"web": "acme"}}, WEB, "not a mapping", "compose"),
    ({"stack_services": {"web": {"image": "x:1", "compose": OWN}}}, f"{WEB}.image", "no such key", "below compose"),
    ({"stack_services": {"web": {}}}, f"{WEB}.compose", "required", "image, user and healthcheck"),
    ({"stack_services": {"litellm": {"compose": OWN}}}, "stack_services.litellm", "by its role", "stack_overrides"),
    ({"stack_services": {"My.Web": {"compose": OWN}}}, "stack_services.My.Web", "lower-case", "Rename"),
    ({"stack_services": {"web": {"compose": OWN, "reloads": []}}}, f"{WEB}.reloads", "no such key", 'mean "reload"'),
    (own(image=None), f"{WEB}.compose.image", "required", "fixed version"),
    (own(image="acme/web"), f"{WEB}.compose.image", "no version", "acme/web:1.2.3"),
    (own(image="acme/web:latest"), f"{WEB}.compose.image", "moves", "acme/web:1.2.3"),
    (own(user=None), f"{WEB}.compose.user", "numeric uid:gid", "1000:1000"),
    (own(user="www-data"), f"{WEB}.compose.user", "numeric uid:gid", "1000:1000"),
    (own(user=1000), f"{WEB}.compose.user", "numeric uid:gid", "1000:1000"),
    (own(user="1000:1000\n"), f"{WEB}.compose.user", "numeric uid:gid", "1000:1000"),
    (own(healthcheck=None), f"{WEB}.compose.healthcheck.test", "crash loop", "a command"),
    (own(healthcheck={"interval": "5s"}), f"{WEB}.compose.healthcheck.test", "crash loop", "a command"),
    (own(healthcheck={"test": []}), f"{WEB}.compose.healthcheck.test", "crash loop", "a command"),
    (own(build="."), f"{WEB}.compose.build", "cannot be used", "elsewhere"),
    (own(container_name="web"), f"{WEB}.compose.container_name", "cannot be used", "aliases"),
    (own(env_file="x"), f"{WEB}.compose.env_file", "cannot be used", "environment"),
    (own(secrets=["x"]), f"{WEB}.compose.secrets", "cannot be used", "beside compose"),
    (own(networks=["appp"]), f"{WEB}.compose.networks.appp", "No such network", 'mean "app"'),
    (own(networks={"lan": {}}), f"{WEB}.compose.networks.lan", "the stack has", "stack_external_networks"),
    (beside(files={"/etc/x": "y"}), f"{WEB}.files./etc/x", "relative", "files_dir"),
    (beside(files={"../x": "y"}), f"{WEB}.files.../x", "relative", "files_dir"),
    (beside(files={"x": {"a": 1}}), f"{WEB}.files.x", "not text", "content"),
    (beside(secrets={"a/b": {}}), f"{WEB}.secrets.a/b", "plain", "slash"),
    (beside(secrets={"key": KEY}), f"{WEB}.secrets.key", "Nothing says", "variable"),
    (beside(secrets={"key": {}}), f"{WEB}.secrets.key", "Nothing says", "generate"),
    # overrides
    ({"stack_overrides": {"litelm": {}}}, "stack_overrides.litelm", "No such service", 'mean "litellm"'),
    ({"stack_overrides": {"n8n": {}}}, "stack_overrides.n8n", "there are litellm", "one of these"),
    ({"stack_overrides": {"litellm": "2g"}}, "stack_overrides.litellm", "not a mapping", "compose:"),
    (
        {"stack_overrides": {"litellm": {"mem_limit": "2g"}}},
        "stack_overrides.litellm.mem_limit",
        "no such key",
        "compose",
    ),
    # networks
    (
        {"stack_external_networks": {"n8n_default": "litellm"}},
        "stack_external_networks.n8n_default",
        "list",
        "[litellm]",
    ),
    (
        {"stack_external_networks": {"x": ["litelm"]}},
        "stack_external_networks.x[0]",
        "No such service",
        'mean "litellm"',
    ),
    ({"stack_external_networks": ["x"]}, "stack_external_networks", "not a mapping", "key: value"),
    (networks(x={"subnet": "172.30.1.0/33"}), "stack_networks.x.subnet", "not a network", "172.30.1.0/24"),
    (networks(x={"subnet": "172.30.1.1/24"}), "stack_networks.x.subnet", "not a network", "host part zero"),
    (networks(x={"subnet": "all"}), "stack_networks.x.subnet", "not a network", "172.30.1.0/24"),
    (networks(x={"subnet": 5}), "stack_networks.x.subnet", "not a network", "172.30.1.0/24"),
    (networks(x={"internl": True}), "stack_networks.x.internl", "no such key", 'mean "internal"'),
    (networks(x=True), "stack_networks.x", "not a mapping", "internal and subnet"),
    (
        networks(x={"subnet": "172.30.0.0/16"}, y={"subnet": "172.30.5.0/24"}),
        "stack_networks.y.subnet",
        "overlaps 172.30.0.0/16 of stack_networks.x.subnet",
        "free",
    ),
    # addresses, ports, names, sizes
    ({"reverse_proxy_bind": "eth0"}, "reverse_proxy_bind", "not an IP address", "127.0.0.1"),
    ({"reverse_proxy_bind": "127.0.0.1:8080"}, "reverse_proxy_bind", "not an IP address", "127.0.0.1"),
    ({"reverse_proxy_port": 0}, "reverse_proxy_port", "from 1 to 65,535", "range"),
    ({"reverse_proxy_port": 70000}, "reverse_proxy_port", "from 1 to 65,535", "range"),
    ({"reverse_proxy_port": "80,443"}, "reverse_proxy_port", "whole number", "digits"),
    ({"reverse_proxy_port": [80]}, "reverse_proxy_port", "whole number", "digits"),
    (own(ports=["127.0.0.1:8080:80"]), f"{WEB}.compose.ports[0]", "reverse_proxy_port publishes the same", "free"),
    (own(ports=["8080:80"]), f"{WEB}.compose.ports[0]", "reverse_proxy_port publishes the same", "free"),
    (own(ports=["127.0.0.1:99999:80"]), f"{WEB}.compose.ports[0]", "from 1 to 65,535", "range"),
    (
        own(ports=[{"published": 9000, "target": 1}, "9000:2"]),
        f"{WEB}.compose.ports[1]",
        "ports[0] publishes",
        "free",
    ),
    ({"reverse_proxy_aliases": ["litellm"]}, "reverse_proxy_aliases[0]", "the service litellm", "another name"),
    ({"reverse_proxy_aliases": ["Llama_Nginx!"]}, "reverse_proxy_aliases[0]", "not a host name", "llama-litellm"),
    (
        {"reverse_proxy_aliases": ["a", "a"]},
        "reverse_proxy_aliases[1]",
        "also reverse_proxy_aliases[0]",
        "another name",
    ),
    ({"reverse_proxy_aliases": "a"}, "reverse_proxy_aliases", "not a list", "- item"),
    ({"reverse_proxy_memory": "512"}, "reverse_proxy_memory", "not a size", "512m"),
    ({"reverse_proxy_memory": "half"}, "reverse_proxy_memory", "not a size", "512m"),
    ({"reverse_proxy_memory": "256m"}, "reverse_proxy_memory", "reverse_proxy_tmp_size (256m) comes out", "Raise"),
    ({"litellm_workers": 8}, "litellm_memory", "8 workers of LiteLLM need 2800m", "litellm_workers"),
    ({"litellm_workers": 0}, "litellm_workers", "from 1 to", "range"),
    ({"litellm_timeout_seconds": 1200}, "reverse_proxy_read_seconds", "before LiteLLM does", "above 1200"),
    ({"litellm_log_level": "DEBUG"}, "litellm_log_level", "none of ERROR, WARNING, INFO", "one of them"),
    ({"reverse_proxy_body_size": "32 MB"}, "reverse_proxy_body_size", "not a size", "32m"),
    ({"reverse_proxy_rate_limit_per_ip": "50"}, "reverse_proxy_rate_limit_per_ip", "not a rate", "20r/s"),
    ({"reverse_proxy_worker_processes": "many"}, "reverse_proxy_worker_processes", "neither auto", "auto"),
    ({"reverse_proxy_worker_processes": 0}, "reverse_proxy_worker_processes", "neither auto", "auto"),
    ({"reverse_proxy_log_level": "verbose"}, "reverse_proxy_log_level", "none of debug", "one of them"),
    # images from packages
    ({"llm_images": "regstry"}, "llm_images", "none of", 'mean "registry"'),
    ({"llm_images": "always"}, "llm_images", "none of registry, local, auto", "one of them"),
    ({"local_images_archive_dir": "images"}, "local_images_archive_dir", "not an absolute path", "from / on"),
    ({"local_images_ca_file": "/etc/../ca.crt"}, "local_images_ca_file", "not an absolute path", "from / on"),
    ({"local_images_debian_mirror": "deb.debian.org"}, "local_images_debian_mirror", "not a web address", "http://"),
    ({"local_images_proxy": {"https": "proxy:3128"}}, "local_images_proxy.https", "not a web address", "http://"),
    ({"local_images_proxy": {"http": f"me:{KEY}@proxy"}}, "local_images_proxy.http", "not a web address", "http://"),
    (
        {"local_images_refused": [{"match": "(x", "reason": "y"}]},
        "local_images_refused[0].match",
        "regular",
        "Correct",
    ),
    ({"local_images_refused": [{"match": "x"}]}, "local_images_refused[0].reason", "required", "Set it"),
    # the engine
    ({"docker_host_source": "docker.io"}, "docker_host_source", "none of", 'mean "docker"'),
    ({"docker_host_address_pools": [{"base": "10.0.0.0/16"}]}, f"{POOLS}[0].size", "required", "Set it"),
    (
        {"docker_host_address_pools": [{"base": "10.0.0.1/16", "size": 24}]},
        f"{POOLS}[0].base",
        "not a network",
        "zero",
    ),
    (
        {"docker_host_address_pools": [{"base": "10.0.0.0/16", "size": 8}]},
        f"{POOLS}[0].size",
        "from 16 to 30",
        "range",
    ),
    ({"docker_host_address_pools": [{"base": "10.0.0.0/16", "size": 32}]}, f"{POOLS}[0].size", "from 16", "range"),
    (
        {"docker_host_address_pools": [{"base": f"10.{i}.0.0/15", "size": 24} for i in (0, 0)]},
        f"{POOLS}[1].base",
        "overlaps 10.0.0.0/15",
        "free",
    ),
    ({"docker_host_insecure_registries": ["10.0.0.5:5000"]}, "docker_host_insecure_registries[0]", "loopback", "CA"),
    ({"docker_host_registry_mirrors": ["mirror"]}, "docker_host_registry_mirrors[0]", "not a web address", "http://"),
    ({"docker_host_proxy": {"htttp": "x"}}, "docker_host_proxy.htttp", "no such key", 'mean "http"'),
    ({"docker_host_proxy": {"https": f"u:{KEY}@p"}}, "docker_host_proxy.https", "not a web address", "http://"),
    ({"docker_host_log_options": {"max-file": 3}}, "docker_host_log_options.max-file", "texts only", "quotes"),
    ({"docker_host_docker_url": "mirror/x"}, "docker_host_docker_url", "not a web address", "http://"),
    ({"docker_host_bind_address": "lo"}, "docker_host_bind_address", "not an IP address", "127.0.0.1"),
    ({"docker_host_lan_drop": "off course"}, "docker_host_lan_drop", "neither true nor false", "true or false"),
    # secrets
    ({"litellm_master_key": "sk-1234"}, "litellm_master_key", "well-known", "made on the box"),
    ({"litellm_master_key": "your-master-key"}, "litellm_master_key", "well-known", "made on the box"),
    ({"litellm_master_key": KEY}, "litellm_master_key", "begin with sk-", "made on the box"),
    ({"litellm_master_key": f"sk-{KEY[:10]}"}, "litellm_master_key", "easy to guess", "32 random"),
    ({"litellm_master_key": "sk-" + "ab" * 20}, "litellm_master_key", "easy to guess", "32 random"),
    (
        {"litellm_environment": {"OPENAI_API_KEY": KEY}},
        "litellm_environment.OPENAI_API_KEY",
        "docker inspect",
        "api_key",
    ),
    ({"litellm_environment": {"X": f"redis://u:{KEY}@h"}}, "litellm_environment.X", "docker inspect", "api_key"),
    ({"litellm_environment": {"LITELLM_PORT": "1"}}, "litellm_environment.LITELLM_PORT", "reads no", "Remove it"),
    (
        {"litellm_config_overrides": {"general_settings": {"master_key": KEY}}},
        "litellm_config_overrides.general_settings.master_key",
        "It is a secret",
        "litellm_master_key",
    ),
    (
        {"litellm_config_overrides": {"model_list": []}},
        "litellm_config_overrides.model_list",
        "replace",
        "llm_models",
    ),
]
# fmt: on


@pytest.mark.parametrize(("wrong", "path", "reason", "cure"), CASES)
def test_a_wrong_variable_is_one_fault_with_path_reason_and_cure(
    wrong: dict[str, Any], path: str, reason: str, cure: str
) -> None:
    assert_only(site(**wrong), path, reason, cure)


@pytest.mark.parametrize(
    "good",
    [
        own(networks=["app", "egress"], ports=["127.0.0.1:9000:80", "9001:80/udp"]),
        {
            "stack_services": {
                "web": {
                    "compose": OWN,
                    "files": {"conf.d/x..conf": "text"},
                    "secrets": {"a": {"variable": "my_secret"}, "b": {"generate": {"length": 32}}},
                }
            }
        },
        own(image="acme/web:1.2.3@sha256:" + "0" * 64),
        {"stack_home": "/srv/llm/box", "stack_project": "llm-1"},
        {"stack_home": "/var/lib/gpubox"},
        {"stack_home": "/home/me/gpubox"},
        {"stack_overrides": {"litellm": {"compose": {"mem_limit": "2g", "healthcheck": None}}}},
        {"stack_external_networks": {"n8n_default": ["litellm", "reverse_proxy"]}},
        networks(
            egress={},
            x={"subnet": "172.30.1.0/24"},
            y={"subnet": "172.30.2.0/24"},
            z={"subnet": "fd00::/64"},
        ),
        {"reverse_proxy_bind": "0.0.0.0", "reverse_proxy_port": "8081"},
        {"reverse_proxy_bind": "::1"},
        {"reverse_proxy_aliases": ["llama-nginx", "llm.internal"]},
        {"reverse_proxy_worker_processes": 4},
        {
            "docker_host_insecure_registries": ["localhost:5000", "127.0.0.1:5000"],
            "docker_host_bind_address": "",
        },
        {
            "docker_host_ca_file": "files/company.crt",
            "docker_host_proxy": {"http": "http://p:3128", "https": None},
        },
        {"stack_remove_data": "yes", "stack_wait_seconds": "60"},
        {"litellm_master_key": "sk-4f0e9Q2xV7aLbT81kzMw"},
        {"litellm_config_overrides": {"general_settings": {"alert_key": "os.environ/ALERT_KEY"}}},
    ],
)
def test_good_variables_have_no_fault(good: dict[str, Any]) -> None:
    assert found(site(**good)) == []
