# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ollama on the Windows side of WSL 2, looked for on a machine that takes itself for WSL.

Windows is a stand-in here: a network namespace that is the machine's default gateway, with the real Ollama in it and
nftables as its firewall. The kernel's name, ``wslinfo`` and the mark of mirrored mode are put in place by the test;
the engine, the containers that ask, the routes and the refusals are real.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.rig import ollama
from tests.rig.commands import ROOT, run
from tests.rig.host import Host

WINDOWS, WSL, PORT = "10.97.0.1", "10.97.0.2", 11434
IMAGE = "probe:1"
PLAY = """
- hosts: all
  gather_facts: false
  roles: [{role: gpubox.llm.docker_host, tags: [engine]}]
  tasks:
    - gpubox.llm.ollama_windows: {image: "{{ image }}", addresses: "{{ addresses | default([]) }}", timeout: 2}
      tags: [find]
"""
NETWORK = f"""
ip netns add windows
ip link add eth1 type veth peer name eth0 netns windows
ip address add {WSL}/20 dev eth1
ip link set eth1 up
ip -n windows address add {WINDOWS}/20 dev eth0
ip -n windows link set eth0 up
ip -n windows link set lo up
ip route replace default via {WINDOWS} dev eth1
"""
# An image with Python: this machine's own.
PYTHON = (
    "tar -C / -c bin lib lib64 usr/bin/python3 usr/bin/python3.11 "
    "usr/lib64 usr/lib/python3.11 usr/lib/x86_64-linux-gnu"
)
STOP = "pkill -x ollama || true; while pgrep -x ollama; do sleep 0.1; done"


@dataclass(frozen=True)
class Result:
    code: int
    output: str
    data: Mapping[str, Any]

    @property
    def message(self) -> str:
        return " ".join(str(self.data.get("msg", "")).split())


@dataclass
class Box:
    host: Host
    directory: Path

    def play(self, *arguments: str, **variables: Any) -> Result:
        known = self.host.inventory()["_meta"]["hostvars"]
        hosts = {name: {**values, "ansible_become": True} for name, values in known.items()}
        inventory, play, kept = (
            self.directory / name for name in ("hosts.json", "play.yml", "result.json")
        )
        inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
        play.write_text(PLAY)
        kept.unlink(missing_ok=True)
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests/integration/callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "results",
            "RESULTS_TASK": "gpubox.llm.ollama_windows",
            "RESULTS_FILE": str(kept),
        }
        tool = str(Path(sys.executable).with_name("ansible-playbook"))
        given = json.dumps({"image": IMAGE, **variables})
        done = subprocess.run(
            [tool, "-i", str(inventory), str(play), "-e", given, *arguments],
            cwd=ROOT,
            env=environment,
            text=True,
            capture_output=True,
            timeout=200,
            check=False,
        )
        data = json.loads(kept.read_text()) if kept.exists() else {}
        return Result(done.returncode, done.stdout + done.stderr, data)

    def find(self, *arguments: str, **variables: Any) -> Result:
        """A run that finds it."""
        result = self.play("--tags", "find", *arguments, **variables)
        assert result.code == 0, result.output
        assert result.data["changed"] is False
        assert self.host.sh("docker ps --all --quiet") == ""
        return result

    def misses(self, **variables: Any) -> str:
        """What a run says that does not find it."""
        result = self.play("--tags", "find", **variables)
        assert result.code != 0, result.output
        assert self.host.sh("docker ps --all --quiet") == ""
        return result.message

    def serve(self, address: str, namespace: str = "windows") -> None:
        """Start Ollama, on Windows unless told otherwise, with OLLAMA_HOST as given."""
        self.host.sh(STOP)
        inside = f"ip netns exec {namespace} " if namespace else ""
        self.host.sh(
            f"HOME=/root OLLAMA_HOST={address} setsid {inside}/root/ollama serve > /dev/null 2>&1 &\n"
            f"until {inside}ss -Hltn 'sport = :{PORT}' | grep -q .; do sleep 0.1; done"
        )


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    box = Box(Host("ollama-windows"), tmp_path_factory.mktemp("windows"))
    try:
        box.host.up()
        done = box.play("--tags", "engine")
        assert done.code == 0, done.output
        run("docker", "cp", ollama.binary(), f"{box.host.container}:/root/ollama")
        box.host.sh(f"{PYTHON} | docker import - {IMAGE}")
        box.host.sh(NETWORK)
        yield box
    finally:
        box.host.down()


def become_wsl(box: Box) -> None:
    box.host.sh(
        "echo 6.6.87.2-microsoft-standard-WSL2 > /root/osrelease\n"
        "mount --bind /root/osrelease /proc/sys/kernel/osrelease"
    )


def test_a_box_that_is_no_wsl_is_told_so(box: Box) -> None:
    message = box.misses()
    assert "this box is no WSL 2" in message
    assert "Use container or native" in message
    become_wsl(box)


def test_behind_nat_it_is_found_at_the_gateway(box: Box) -> None:
    box.serve("0.0.0.0")
    found = box.find().data
    assert (found["address"], found["found_as"], found["asked_from"]) == (
        WINDOWS,
        "gateway",
        "container",
    )
    assert found["url"] == f"http://{WINDOWS}:{PORT}"
    assert found["version"] == ollama.VERSION
    assert "has known holes" in str(found["warnings"])


def test_check_mode_finds_it_too_also_without_the_image(box: Box) -> None:
    assert box.find("--check").data["address"] == WINDOWS
    without = box.find("--check", image="127.0.0.1:9/none:1").data
    assert (without["address"], without["asked_from"]) == (WINDOWS, "box")


def test_while_the_image_cannot_be_had_the_box_asks_and_says_so(box: Box) -> None:
    found = box.find(image="127.0.0.1:9/none:1").data
    assert (found["address"], found["asked_from"]) == (WINDOWS, "box")
    assert "127.0.0.1:9/none:1 is not there and cannot be pulled" in str(found["warnings"])


def test_one_that_listens_on_windows_loopback_alone_is_told_how_to_listen(box: Box) -> None:
    box.serve("127.0.0.1")
    message = box.misses()
    assert (
        f"{WINDOWS} (the default gateway of WSL, which is Windows): port 11434 is closed" in message
    )
    assert "setx OLLAMA_HOST 0.0.0.0" in message


def test_a_firewall_that_drops_is_answered_with_its_rule(box: Box) -> None:
    box.serve("0.0.0.0")
    rules = f"table inet firewall {{ chain input {{ type filter hook input priority 0; tcp dport {PORT} drop; }}; }}"
    box.host.sh(f"ip netns exec windows nft '{rules}'")
    message = box.misses()
    box.host.sh("ip netns exec windows nft delete table inet firewall")
    assert "New-NetFirewallRule -DisplayName 'Ollama for WSL'" in message
    assert "-InterfaceAlias 'vEthernet (WSL*'" in message
    assert box.find().data["address"] == WINDOWS


def test_an_address_that_the_user_names_is_asked_first(box: Box) -> None:
    box.host.sh("ip -n windows address add 10.97.0.9/20 dev eth0")
    found = box.find(addresses=["10.97.0.9"]).data
    assert (found["address"], found["found_as"]) == ("10.97.0.9", "given")
    assert box.find(addresses=["10.97.0.77"]).data["address"] == WINDOWS  # nobody there
    assert "is neither an address nor a name" in box.misses(addresses=["http://10.97.0.9"])


def test_something_else_on_the_port_is_not_taken_for_it(box: Box) -> None:
    box.host.sh(STOP)
    box.host.sh(
        f"cd /mnt; setsid ip netns exec windows python3 -m http.server {PORT} > /dev/null 2>&1 &\n"
        f"until ip netns exec windows ss -Hltn 'sport = :{PORT}' | grep -q .; do sleep 0.1; done"
    )
    message = box.misses()
    box.host.sh("kill $(pgrep -f '^python3 -m http.server')")
    assert "something else than Ollama answers (status 404)" in message


def test_mirrored_it_is_found_at_the_addresses_that_box_and_windows_share(box: Box) -> None:
    box.host.sh(
        "printf '#!/bin/sh\\necho mirrored\\n' > /usr/bin/wslinfo; chmod +x /usr/bin/wslinfo"
    )
    box.serve("0.0.0.0", namespace="")  # what listens on Windows listens on the box's addresses
    found = box.find().data
    assert (found["address"], found["found_as"]) == (WSL, "own")
    box.serve("127.0.0.1", namespace="")
    message = box.misses()
    assert "hostAddressLoopback=true" in message
    assert "The box itself reaches Ollama at 127.0.0.1" in message


def test_without_a_route_to_the_world_it_says_so(box: Box) -> None:
    box.host.sh("rm /usr/bin/wslinfo; ip route del default")
    assert "it has no default route" in box.misses()
