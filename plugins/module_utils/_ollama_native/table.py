# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The nftables table that keeps the LAN away from a native Ollama. Pure; private to this collection.

Ollama listens on the address of Docker's bridge. That is no address of the LAN, yet a neighbour who sends packets for
it to this box is answered: Linux accepts them on any interface. So what does not come from the box itself or over a
bridge is dropped, before connection tracking and NAT. A bridge that a network card or a virtual machine is part of is
a piece of the LAN and does not count; containers hang on their bridges by a veth pair.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["NAME", "lan_bridges", "rules"]

NAME = "ip gpubox_ollama"
TEMPLATE = """\
# Written by gpubox.llm.ollama_native: the LAN does not reach Ollama on the address of Docker's bridge.
add table {table}
delete table {table}
table {table} {{
  chain prerouting {{
    type filter hook prerouting priority raw; policy accept;
    iifname "lo" accept comment "{mark}"
{bridged}    ip daddr {address} tcp dport {port} meta iifkind != "bridge" counter drop comment "{mark}"
  }}
}}
"""
BRIDGED = """\
    ip daddr {address} tcp dport {port} iifname {{ {names} }} counter drop comment "{mark}"
"""


def rules(address: str, port: int, lan: Sequence[str] = ()) -> str:
    """Return the nftables file; applying it twice is applying it once. ``lan`` are bridges that lead to the LAN."""
    names = ", ".join(f'"{name}"' for name in sorted(lan))
    text = TEMPLATE.replace("{bridged}", BRIDGED if names else "")
    fields = {"table": NAME, "address": address, "port": port, "names": names}
    mark = hashlib.sha256(text.format(mark="", **fields).encode()).hexdigest()[:12]
    return text.format(mark=mark, **fields)


def lan_bridges(links: Iterable[Mapping[str, Any]]) -> list[str]:
    """Name the bridges that are more than containers' networks, from ``ip -json -details address``."""
    found = set()
    for link in links:
        info = link.get("linkinfo") or {}
        if info.get("info_slave_kind") == "bridge" and info.get("info_kind") != "veth":
            found.add(str(link["master"]))
    return sorted(found)
