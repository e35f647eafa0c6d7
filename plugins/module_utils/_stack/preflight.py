# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is known to go wrong before the first change: ports in use, subnets that clash. Private."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._stack.service import (
    Container,
    DefinitionError,
    Network,
    Service,
    parse_port,
)

__all__ = ["preflight"]


def preflight(
    services: Mapping[str, Service],
    containers: Mapping[str, Container],
    starting: Sequence[str],
    networks: Mapping[str, Network],
    engine: Any,
) -> None:
    """Refuse what cannot work; ``starting`` names the services that get a new container."""
    there = engine.networks()
    for network in networks.values():
        _check_subnet(
            network, {name: n["subnets"] for name, n in there.items() if name != network.name}
        )
    wanted = [
        (name, port)
        for name in starting
        for port in map(parse_port, services[name].compose.get("ports") or [])
        if port
    ]
    if not wanted:
        return
    publishers = engine.publishers() if engine.available else []
    ours = {
        (ip, port, proto)
        for name, ip, port, proto in publishers
        if _belongs(name, containers, engine)
    }
    for name, (ip, port, proto) in wanted:
        held = [
            c
            for c, cip, cport, cproto in publishers
            if (cport, cproto) == (port, proto) and _overlap(ip, cip)
        ]
        if any(
            (cport, cproto) == (port, proto) and _overlap(ip, cip) for cip, cport, cproto in ours
        ):
            continue
        if held:
            raise DefinitionError(
                f"service {name}: port {port} on {ip} is in use by container {held[0]}; {_CURE}"
            )
        if not _free(ip, port, proto):
            raise DefinitionError(
                f"service {name}: port {port} on {ip} is in use by another program (ss -ltnp shows it); {_CURE}"
            )


_CURE = "stop it or choose another port"


def _belongs(container_name: str, containers: Mapping[str, Container], engine: Any) -> bool:
    return container_name in {engine.name_of(container.id) for container in containers.values()}


def _overlap(one: str, other: str) -> bool:
    return one == other or "0.0.0.0" in (one, other) or "::" in (one, other)


def _free(ip: str, port: int, proto: str) -> bool:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with socket.socket(
        family, socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM
    ) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ip, port))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise DefinitionError(
                    f"address {ip} of port {port} does not exist on this box; use one that it has"
                ) from error
            return False
    return True


def _check_subnet(network: Network, others: Mapping[str, Sequence[str]]) -> None:
    subnet = network.options.get("subnet")
    if not subnet:
        return
    wanted = ipaddress.ip_network(subnet)
    for name, subnets in {**others, "the host's routing table": _routes()}.items():
        for other in map(ipaddress.ip_network, subnets):
            if wanted.version == other.version and wanted.overlaps(other):
                raise DefinitionError(
                    f"network {network.name}: subnet {subnet} overlaps {other} of {name}; "
                    "choose another in stack_networks"
                )


def _routes() -> list[str]:
    """Destinations of this host's IPv4 routes, bridges of the engine and the default route left out."""
    found = []
    try:
        with open("/proc/net/route", encoding="ascii") as stream:
            rows = [line.split() for line in stream][1:]
    except OSError:
        return []
    for row in rows:
        destination, mask = (socket.inet_ntoa(bytes.fromhex(row[i])[::-1]) for i in (1, 7))
        if mask != "0.0.0.0" and not row[0].startswith(("br-", "docker")):
            found.append(f"{destination}/{mask}")
    return [str(ipaddress.ip_network(route, strict=False)) for route in found]
