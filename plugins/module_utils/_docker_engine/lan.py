# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The drop that Engine 28 has built in, for engines before it (moby#45610). Pure; private to this collection.

Without it a machine on the same LAN reaches ports that are published on 127.0.0.1, and containers by their address.
One nftables table of its own, before connection tracking and NAT: nobody else's rules are touched, and neither Docker
nor a firewall that rewrites its own tables removes it. A packet for a container may come from a container: over a
bridge, from an address of a container network, to which the way back leads out where it came in. A spoofed one fails
the last, a neighbour whose LAN lies inside Docker's address pools the first.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any, Union

__all__ = ["PATH", "TABLE", "UNIT", "UNIT_PATH", "in_force", "needed", "networks", "rules"]

PATH = "/etc/gpubox/lan.nft"
TABLE = "inet gpubox_lan"
UNIT = "gpubox-lan.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT}"
BUILT_IN = (28,)

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

# "loopback0" is where Windows' localhost comes in when WSL mirrors its network.
TEMPLATE = """\
# Written by the role docker_host: before Engine 28 the LAN reaches loopback-published ports and container addresses.
add table {table}
delete table {table}
table {table} {{
  set containers4 {{ type ipv4_addr; flags interval; {elements4}}}
  set containers6 {{ type ipv6_addr; flags interval; {elements6}}}
  chain prerouting {{
    type filter hook prerouting priority raw; policy accept;
    iifname {{ "lo", "loopback0" }} accept comment "{mark}"
    ip daddr 127.0.0.0/8 counter drop comment "{mark}"
    ip saddr @containers4 meta iifkind "bridge" fib saddr . iif oif exists accept comment "{mark}"
    ip daddr @containers4 fib daddr type != local counter drop comment "{mark}"
    ip6 saddr @containers6 meta iifkind "bridge" fib saddr . iif oif exists accept comment "{mark}"
    ip6 daddr @containers6 fib daddr type != local counter drop comment "{mark}"
  }}
}}
"""

UNIT_TEXT = f"""\
[Unit]
Description=Keep the LAN away from loopback-published ports and containers (Docker Engine before 28)
Before=docker.service
After=nftables.service
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f {PATH}
ExecReload=/usr/sbin/nft -f {PATH}

[Install]
WantedBy=multi-user.target docker.service
"""


def needed(engine: tuple[int, ...], config: Mapping[str, Any]) -> bool:
    """Tell whether the engine lacks the drop; one that keeps its hands off the firewall is its owner's affair."""
    return engine < BUILT_IN and config.get("iptables") is not False


def networks(config: Mapping[str, Any], existing: Iterable[Mapping[str, Any]]) -> list[Network]:
    """Collect the addresses of containers: the pools new networks come from, and the bridge networks that exist."""
    texts = [str(pool["base"]) for pool in config.get("default-address-pools") or []]
    for network in existing:
        if network.get("Driver") == "bridge":
            ranges = (network.get("IPAM") or {}).get("Config") or []
            texts += [item["Subnet"] for item in ranges if item.get("Subnet")]
    found = [ipaddress.ip_network(text, strict=False) for text in texts]
    result: list[Network] = []
    result += ipaddress.collapse_addresses(n for n in found if n.version == 4)
    result += ipaddress.collapse_addresses(n for n in found if n.version == 6)
    return result


def rules(containers: Iterable[Network]) -> str:
    """Return the nftables file for these container networks; applying it twice is applying it once."""
    lists = {4: "", 6: ""}
    for version in lists:
        items = ", ".join(str(network) for network in containers if network.version == version)
        lists[version] = f"elements = {{ {items} }} " if items else ""
    fields = {"table": TABLE, "elements4": lists[4], "elements6": lists[6]}
    mark = hashlib.sha256(TEMPLATE.format(mark="", **fields).encode()).hexdigest()[:12]
    return TEMPLATE.format(mark=mark, **fields)


def in_force(listing: str, text: str) -> bool:
    """Tell from ``nft list table`` whether exactly these rules are loaded: all of them carry the file's mark."""
    mark = text.split('comment "', 1)[1].split('"', 1)[0]
    tag = f'comment "{mark}"'
    return listing.count(tag) == text.count(tag) == listing.count("comment ")
