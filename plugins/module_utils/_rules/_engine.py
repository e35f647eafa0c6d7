# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules about the engine: address pools, registries, proxies, log options. Private to this collection."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any, Union

from ._fault import UNKNOWN, Fault, fault, number
from ._site import Rule, Site, items, strings, text

__all__ = ["RULES", "WEB_ADDRESS", "Network", "free_subnet"]

WEB_ADDRESS = re.compile(r"^https?://[^\s/?#]+(/\S*)?\Z")
_LOOPBACK_REGISTRY = re.compile(r"^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?\Z")
_URL_CURE = "Write it like http://host:port/path."

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


def free_subnet(path: str, value: Any, taken: dict[str, Network]) -> Iterator[Fault]:
    """What is wrong with a subnet; a good one is added to those that are taken."""
    try:
        network = ipaddress.ip_network(text(value))
    except ValueError:
        cure = "Write it like 172.30.1.0/24, with the host part zero."
        yield fault(path, value, "It is not a network address.", cure)
        return
    for other, theirs in taken.items():
        if network.version == theirs.version and network.overlaps(theirs):
            yield fault(
                path, value, f"It overlaps {theirs} of {other}.", "Choose one that is free."
            )
            break
    taken[path] = network


def pools(site: Site) -> Iterator[Fault]:
    """Address pools are networks apart from each other, and larger than what is cut from them."""
    taken: dict[str, Network] = {}
    for path, pool in items(site.get("docker_host_address_pools"), "docker_host_address_pools"):
        if not text(pool.get("base")):
            continue
        yield from free_subnet(f"{path}.base", pool["base"], taken)
        network, size = taken.get(f"{path}.base"), number(pool.get("size"))
        if (
            network
            and size is not None
            and not network.prefixlen <= size < network.max_prefixlen - 1
        ):
            limits = f"from {network.prefixlen} to {network.max_prefixlen - 2}"
            reason = f"A network cut from {network} has a prefix length {limits}."
            yield fault(f"{path}.size", pool["size"], reason, "Choose one in that range.")


def registries(site: Site) -> Iterator[Fault]:
    """Images come over TLS, except from this box itself."""
    name = "docker_host_insecure_registries"
    for path, value in strings(site.get(name), name):
        if not _LOOPBACK_REGISTRY.match(value):
            yield fault(
                path,
                value,
                "Only a registry on this box's loopback may speak plain HTTP.",
                "Give the registry a certificate (docker_host_ca_file makes the box trust its CA).",
            )
    name = "docker_host_registry_mirrors"
    for path, value in strings(site.get(name), name):
        if not WEB_ADDRESS.match(value):
            yield fault(path, value, "It is not a web address.", _URL_CURE)


def proxies(site: Site) -> Iterator[Fault]:
    """A proxy is a complete address."""
    for variable in ("docker_host_proxy", "local_images_proxy"):
        for kind in ("http", "https"):
            value = text(site.mapping(variable).get(kind))
            if value and not WEB_ADDRESS.match(value):
                yield fault(f"{variable}.{kind}", value, "It is not a web address.", _URL_CURE)


def log_options(site: Site) -> Iterator[Fault]:
    """The engine takes log options as texts only, and does not start otherwise."""
    for key, value in site.mapping("docker_host_log_options").items():
        if value is not None and value is not UNKNOWN and not isinstance(value, str):
            path = f"docker_host_log_options.{key}"
            yield fault(path, value, "The engine takes texts only here.", "Put it in quotes.")


RULES: tuple[Rule, ...] = (pools, registries, proxies, log_options)
