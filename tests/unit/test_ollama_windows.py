# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pure part of ollama_windows: where Ollama on Windows may be, and what is said when it is not there."""

from __future__ import annotations

import pytest
from ansible_collections.gpubox.llm.plugins.module_utils._ollama_windows.candidates import (
    Answer,
    Candidate,
    System,
    answered,
    candidates,
    complaint,
    from_box,
    is_host,
    is_wsl2,
    routes,
)

NAT = System(wsl=True, gateway="172.29.160.1", own=["172.29.170.5"])
MIRRORED = System(wsl=True, mirrored=True, gateway="192.168.1.1", own=["192.168.1.20"])


def hosts(system: System, *given: str) -> list[str]:
    return [candidate.host for candidate in candidates(system, given)]


def test_behind_nat_windows_is_the_gateway() -> None:
    assert hosts(NAT) == ["172.29.160.1"]


def test_mirrored_windows_has_the_addresses_of_the_box_and_its_router_is_not_asked() -> None:
    assert hosts(MIRRORED) == ["192.168.1.20"]
    assert [c.host for c in from_box(MIRRORED, candidates(MIRRORED, []))] == [
        "192.168.1.20",
        "127.0.0.1",
    ]


def test_with_docker_desktop_its_own_name_comes_first() -> None:
    desktop = System(wsl=True, desktop=True, gateway="172.29.160.1")
    assert hosts(desktop) == ["host.docker.internal", "172.29.160.1"]


def test_what_the_user_names_comes_before_everything_and_once() -> None:
    assert hosts(NAT, "win.example.com", "172.29.160.1") == ["win.example.com", "172.29.160.1"]


def test_elsewhere_there_is_nobody_to_ask() -> None:
    assert hosts(System(wsl=False, gateway="192.168.1.1", own=["192.168.1.20"])) == []


@pytest.mark.parametrize(
    ("kernel", "wsl2"),
    [
        ("6.6.87.2-microsoft-standard-WSL2", True),
        ("5.15.90.1-Microsoft-custom-WSL2+", True),
        ("4.4.0-19041-Microsoft", False),
        ("6.1.0-18-amd64", False),
    ],
)
def test_wsl_2_is_known_by_its_kernel(kernel: str, wsl2: bool) -> None:
    assert is_wsl2(kernel) is wsl2


@pytest.mark.parametrize(
    "text", ["", "http://win", "win:11434", "win/x", "-v", "win win", "win;id"]
)
def test_what_is_no_host_is_refused(text: str) -> None:
    assert not is_host(text)


def test_the_gateway_and_the_address_on_the_way_to_it_are_found() -> None:
    own = [{"family": "inet", "local": "10.0.0.2"}, {"family": "inet6", "local": "fe80::1"}]
    links = [
        {"ifname": "lo", "addr_info": [{"family": "inet", "local": "127.0.0.1"}]},
        {"ifname": "eth0", "addr_info": own},
    ]
    assert routes(links, [{"dst": "default", "gateway": "10.0.0.1", "dev": "eth0"}]) == (
        "10.0.0.1",
        ["10.0.0.2"],
    )
    assert routes(links, []) == ("", [])


def answer(kind: str, outcome: str, status: int = 0, body: str = "") -> Answer:
    return Answer(Candidate("172.29.160.1", kind), "172.29.160.1", outcome, status, body)


@pytest.mark.parametrize(
    ("status", "body", "version"),
    [
        (200, '{"version":"0.35.0"}', "0.35.0"),
        (404, '{"version":"1"}', ""),
        (200, "<html>", ""),
        (200, "[]", ""),
    ],
)
def test_only_ollama_counts_as_an_answer(status: int, body: str, version: str) -> None:
    assert answered(answer("gateway", "answer", status, body)) == version


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            answer("gateway", "refused"),
            ["172.29.160.1 (the default gateway", "setx OLLAMA_HOST 0.0.0.0"],
        ),
        (
            answer("gateway", "timeout"),
            ["New-NetFirewallRule", "-LocalPort 11434", "vEthernet (WSL*"],
        ),
        (answer("own", "refused"), ["setx OLLAMA_HOST", "hostAddressLoopback=true"]),
        (answer("own", "timeout"), ["New-NetFirewallRule", "hostAddressLoopback=true"]),
        (answer("desktop", "unknown"), ["Start Docker Desktop"]),
        (answer("given", "answer", 403), ["(403)", "setx OLLAMA_HOST"]),
        (answer("given", "answer", 200, "<html>"), ["something else than Ollama", "port 11434"]),
        (answer("given", "No route to host"), ["No route to host"]),
    ],
)
def test_each_failure_names_its_cure(said: Answer, words: list[str]) -> None:
    text = complaint([said], [], 11434)
    assert [word for word in words if word not in text] == []


def test_an_ollama_that_only_the_box_reaches_is_mentioned() -> None:
    near = Answer(
        Candidate("127.0.0.1", "loopback"), "127.0.0.1", "answer", 200, '{"version":"0.35.0"}'
    )
    text = complaint([answer("own", "refused")], [near], 11434)
    assert "The box itself reaches Ollama at 127.0.0.1" in text
