# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where Ollama on Windows may be reached, and what a failure there means. Pure; private to this collection."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = [
    "Answer",
    "Candidate",
    "System",
    "answered",
    "candidates",
    "complaint",
    "is_host",
    "is_wsl2",
]

DESKTOP_NAME = "host.docker.internal"
LISTEN = (
    "On Windows, run 'setx OLLAMA_HOST 0.0.0.0' in PowerShell, then quit Ollama by its icon in the taskbar and start "
    "it again"
)
RULE = (
    "On Windows, in PowerShell as administrator: New-NetFirewallRule -DisplayName 'Ollama for WSL' -Direction Inbound "
    "-Action Allow -Protocol TCP -LocalPort {port} -RemoteAddress LocalSubnet"
)
WSL_ADAPTER = " -InterfaceAlias 'vEthernet (WSL*'"
LOOP = (
    "Write hostAddressLoopback=true in the section [experimental] of %UserProfile%\\.wslconfig and "
    "run 'wsl --shutdown'"
)


@dataclass(frozen=True)
class System:
    """What decides about the candidates."""

    wsl: bool
    desktop: bool = False  # the engine is Docker Desktop's
    mirrored: bool = False  # WSL has the addresses of Windows, not a network of its own
    gateway: str = ""
    own: Sequence[str] = ()  # addresses of the interface that leads to the world


class Candidate(NamedTuple):
    """One place to ask at."""

    host: str
    kind: str  # given, desktop, gateway, own, loopback


class Answer(NamedTuple):
    """What came of asking one candidate."""

    candidate: Candidate
    address: str  # what the name stands for
    outcome: str  # answer, refused, timeout, unknown, or an error's words
    status: int = 0
    body: str = ""


NAMES = {
    "given": "an address of ollama_windows_addresses",
    "desktop": "Docker Desktop's name for Windows",
    "gateway": "the default gateway of WSL, which is Windows",
    "own": "an address of this box, which is also one of Windows",
    "loopback": "shared with Windows",
}


def is_wsl2(kernel: str) -> bool:
    """Tell from the kernel's release; a kernel of one's own may lack the words."""
    return re.search(r"microsoft.*wsl2", kernel, re.IGNORECASE) is not None


def is_host(text: str) -> bool:
    """Tell whether a text is an address or a name of a host, and nothing else."""
    return re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", text) is not None


def candidates(system: System, given: Iterable[str]) -> list[Candidate]:
    """Return where to ask, best first. In mirrored mode the gateway is a router of the LAN and nobody to ask."""
    found = [Candidate(host, "given") for host in given]
    if system.desktop:
        found.append(Candidate(DESKTOP_NAME, "desktop"))
    if system.mirrored:
        found += [Candidate(address, "own") for address in system.own]
    elif system.wsl and system.gateway:
        found.append(Candidate(system.gateway, "gateway"))
    return list({candidate.host: candidate for candidate in reversed(found)}.values())[::-1]


def from_box(system: System, listed: Sequence[Candidate]) -> list[Candidate]:
    """Return where the box itself may ask: where containers may, and at the loopback that is shared with Windows."""
    return [*listed, Candidate("127.0.0.1", "loopback")] if system.mirrored else list(listed)


def answered(answer: Answer) -> str:
    """Return the version of the Ollama that answered; empty if none did."""
    try:
        return str(json.loads(answer.body)["version"]) if answer.status == 200 else ""
    except (ValueError, KeyError, TypeError):
        return ""


def complaint(
    answers: Sequence[Answer], box: Sequence[Answer], port: int, asked: str = "container"
) -> str:
    """Say, candidate by candidate, what happened and what has to be done on Windows."""
    lines = [
        f"- {answer.candidate.host} ({NAMES[answer.candidate.kind]}): {_reason(answer, port)}."
        for answer in answers
    ]
    reached = [answer.candidate.host for answer in box if answered(answer)]
    if reached:
        lines.append(
            f"The box itself reaches Ollama at {reached[0]}, so it runs; only containers do not reach it."
        )
    who = "a container on this box" if asked == "container" else "this box"
    return "\n".join([f"Ollama on Windows does not answer to {who}.", *lines])


def _reason(answer: Answer, port: int) -> str:
    kind = answer.candidate.kind
    if answer.outcome == "refused":
        loop = f". {LOOP}" if kind == "own" else ""
        return f"port {port} is closed: Ollama does not run, or listens on Windows' loopback alone. {LISTEN}{loop}"
    if answer.outcome == "timeout":
        rule = RULE.format(port=port) + (WSL_ADAPTER if kind == "gateway" else "")
        loop = f". {LOOP}" if kind == "own" else ""
        return f"no answer, as when Windows' firewall drops the packets. {rule}{loop}"
    if answer.outcome == "unknown":
        return "no such name in a container. Start Docker Desktop, or name the address in ollama_windows_addresses"
    if answer.outcome != "answer":
        return f"{answer.outcome}. Look whether another program has port {port} of Windows"
    if answer.status == 403 and not answer.body:
        return f"Ollama refuses the name that containers ask by (403). {LISTEN}"
    return f"something else than Ollama answers (status {answer.status}). Look which program has port {port} of Windows"


def routes(
    links: Sequence[Mapping[str, Any]], defaults: Sequence[Mapping[str, Any]]
) -> tuple[str, list[str]]:
    """Return the default gateway and the box's addresses on the way to it, from ``ip -json address`` and ``route``."""
    route = next((route for route in defaults if route.get("gateway")), {})
    own = [
        str(address["local"])
        for link in links
        if link.get("ifname") == route.get("dev")
        for address in link.get("addr_info") or []
        if address["family"] == "inet"
    ]
    return str(route.get("gateway", "")), own
