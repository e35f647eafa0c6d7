# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A systemd machine with an engine of its own, the real Ollama as archives, and a neighbour on its LAN."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shlex
import subprocess
import sys
import tarfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.rig import ollama
from tests.rig.commands import ROOT, run
from tests.rig.host import Host
from tests.rig.images import busybox

OLD, NEW = ollama.VERSION, "0.13.6"
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
ENGINE = "- {hosts: all, gather_facts: false, roles: [gpubox.llm.docker_host]}\n"
NATIVE = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: gpubox.llm.ollama, tasks_from: native.yml}
"""
ABSENT = """
- hosts: all
  gather_facts: false
  tasks:
    - gpubox.llm.ollama_native: {state: absent, keep_models: "{{ keep | default(true) }}"}
"""
# Another machine on the LAN, which was told that the way to Docker's bridges leads over this one.
NEIGHBOUR = """
ip netns add lan
ip link add lan0 type veth peer name eth0 netns lan
ip address add 10.98.0.1/24 dev lan0
ip link set lan0 up
ip -n lan address add 10.98.0.2/24 dev eth0
ip -n lan link set eth0 up
ip -n lan route add 172.16.0.0/12 via 10.98.0.1
"""
# The same, where the box's network card is part of a bridge; a tap device, as virtual machines have, plays the card.
BRIDGED = """
ip link add br0 type bridge
ip tuntap add card0 mode tap
ip link set card0 master br0
ip address flush dev lan0
ip link set lan0 master br0
ip address add 10.98.0.1/24 dev br0
ip link set card0 up
ip link set br0 up
"""
# What a client says; busybox' own would look the name up in a way that its static build cannot.
ASK = r"""
grep host.docker.internal /etc/hosts | {
    read -r address rest
    printf 'GET /api/version HTTP/1.0\r\nHost: host.docker.internal:11434\r\n\r\n' | nc -w 5 "$address" 11434
}
"""


@dataclass(frozen=True)
class Result:
    code: int
    output: str
    data: Mapping[str, Any]

    @property
    def actions(self) -> list[str]:
        return list(self.data.get("actions", []))

    @property
    def message(self) -> str:
        return " ".join(str(self.data.get("msg", "")).split())


@dataclass(frozen=True)
class Archive:
    """An archive on the box, with what the role has to know of it."""

    version: str
    path: str
    checksum: str

    @property
    def variables(self) -> dict[str, Any]:
        return {
            "ollama_version": self.version,
            "ollama_archive": self.path,
            "ollama_archive_checksum": f"sha256:{self.checksum}",
        }


@dataclass
class Box:
    host: Host
    directory: Path
    foretold: Result | None = None  # what check mode said of the machine while it was bare

    def up(self) -> None:
        """A machine with an engine, and a neighbour."""
        self.host.up()
        self.foretold = self.play(
            NATIVE, "--check", **Archive(OLD, "/root/x.zst", "0" * 64).variables
        )
        assert self.play(ENGINE).code == 0
        image = busybox()
        load = ["docker", "exec", "--interactive", self.host.container, "docker", "load"]
        with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as save:
            subprocess.run(load, stdin=save.stdout, check=True, capture_output=True)
        self.host.sh("docker network create other")
        self.host.sh(NEIGHBOUR)

    def command(self, play: str, variables: Mapping[str, Any]) -> list[str]:
        known = self.host.inventory()["_meta"]["hostvars"]
        hosts = {name: {**values, "ansible_become": True} for name, values in known.items()}
        (self.directory / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
        (self.directory / "play.yml").write_text(play)
        given = {"ollama_allow_insecure_version": True, **variables}
        return [
            *(str(PLAYBOOK), "-i", str(self.directory / "hosts.json")),
            *(str(self.directory / "play.yml"), "-e", json.dumps(given)),
        ]

    def play(self, play: str, *arguments: str, **variables: Any) -> Result:
        kept = self.directory / "result.json"
        kept.unlink(missing_ok=True)
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests/integration/callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "results",
            "RESULTS_TASK": "gpubox.llm.ollama_native",
            "RESULTS_FILE": str(kept),
        }
        done = subprocess.run(
            [*self.command(play, variables), *arguments],
            cwd=ROOT,
            env=environment,
            text=True,
            capture_output=True,
            timeout=300,
            check=False,
        )
        data = json.loads(kept.read_text()) if kept.exists() else {}
        return Result(done.returncode, done.stdout + done.stderr, data)

    def native(self, archive: Archive, *arguments: str, **variables: Any) -> Result:
        """A run that has to end well."""
        result = self.play(NATIVE, *arguments, **{**archive.variables, **variables})
        assert result.code == 0, result.output
        return result

    def refused(self, archive: Archive, **variables: Any) -> Result:
        """A run that has to fail."""
        result = self.play(NATIVE, **{**archive.variables, **variables})
        assert result.code != 0, result.output
        return result

    def absent(self, *arguments: str, **variables: Any) -> Result:
        result = self.play(ABSENT, *arguments, **variables)
        assert result.code == 0, result.output
        return result

    def address(self) -> str:
        return self.host.sh("ip -4 -o address show dev docker0").split()[3].partition("/")[0]

    def version(self, namespace: str = "", seconds: int = 5) -> str:
        """What answers at the bridge's address, asked from the box or from a network namespace; empty for nothing."""
        inside = f"ip netns exec {namespace} " if namespace else ""
        url = f"http://{self.address()}:11434/api/version"
        answer = self.host.sh(f"{inside}curl --silent --max-time {seconds} {url} || true")
        return str(json.loads(answer)["version"]) if answer else ""

    def version_in_container(self, network: str) -> str:
        """What a container on the network gets for the name that it knows the box by."""
        flags = f"--rm --network {network} --add-host host.docker.internal:host-gateway"
        said = self.host.sh(f"docker run {flags} {busybox()} sh -c {shlex.quote(ASK)}")
        return str(json.loads(said.rpartition("\n")[2])["version"])

    def lan_reaches(self) -> bool:
        return bool(self.version("lan", seconds=2))

    def listens(self) -> list[str]:
        """Every address at which something listens on Ollama's port."""
        lines = self.host.sh("ss -Hltn 'sport = :11434'").splitlines()
        return [line.split()[3].rpartition(":")[0] for line in lines]

    def pid(self) -> str:
        return self.host.sh("systemctl show ollama --property=MainPID --value").strip()

    def state(self) -> str:
        return self.host.sh("systemctl is-active ollama || true").strip()

    def environ(self) -> dict[str, str]:
        text = self.host.sh(f"tr '\\0' '\\n' < /proc/{self.pid()}/environ")
        return dict(line.partition("=")[::2] for line in text.splitlines())

    def wait(self, condition: Any, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, self.host.sh("systemctl status ollama docker || true")
            time.sleep(0.3)

    def files(self) -> str:
        """Every file that a run could have touched."""
        places = "/etc /usr /var/lib/gpubox /opt ! -type d"
        return self.host.sh(f"find {places} -printf '%p %i %s %m %u %T@ %l\\n' | sort | md5sum")

    def put(self, name: str, version: str, members: Mapping[str, bytes | str]) -> Archive:
        """Pack ``members`` by name, a text being the target of a link, and put the archive on the box."""
        packed = pack(members)
        if name.endswith(".zst"):
            zstd = ["zstd", "-q", "-1", "-c"]
            packed = subprocess.run(zstd, input=packed, check=True, capture_output=True).stdout
        elif name.endswith(".tgz"):
            packed = gzip.compress(packed)
        local, path = self.directory / name, f"/root/{name}"
        local.write_bytes(packed)
        run("docker", "cp", local, f"{self.host.container}:{path}")
        return Archive(version, path, hashlib.sha256(packed).hexdigest())


def pack(members: Mapping[str, bytes | str]) -> bytes:
    """A tar, compressed only by who asks for it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.mode = 0o755
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                tar.addfile(entry)
            else:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def program(version: str) -> bytes:
    """The real Ollama, telling ``version``: a newer one cannot be built here, so its number is exchanged."""
    return ollama.binary().read_bytes().replace(OLD.encode(), version.encode())
