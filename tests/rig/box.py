# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A scenario's host as a test sees it: run the site on it, look at what stands there, reach it from outside."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.rig.commands import ROOT
from tests.rig.host import USER, Host

if TYPE_CHECKING:
    from collections.abc import Iterator

SITE = ROOT / "playbooks" / "site.yml"
RECAP = re.compile(r"^\S+\s+: ok=.*?changed=(\d+).*failed=(\d+)", re.MULTILINE)
# What a run may write about itself: content and times of everything that is the project's.
LIST_FILES = (
    "find /opt/gpubox ! -name .lock -type f -printf '%p %m %U:%G %T@ ' -exec sha256sum {} \\; | sort;"
    " find /opt/gpubox -type l -printf '%p -> %l\\n' | sort"
)


@dataclass(frozen=True)
class Run:
    """What a playbook run said, and how it ended."""

    output: str
    code: int

    @property
    def changed(self) -> int:
        return sum(int(match[1]) for match in RECAP.finditer(self.output))


@dataclass(frozen=True)
class Box:
    """The host of a Molecule scenario, with the scenario's inventory."""

    host: Host
    inventory: Path

    def command(self, *arguments: str, playbook: Path = SITE) -> list[str]:
        """The command line that a person would type."""
        program = Path(sys.executable).with_name("ansible-playbook")
        return [str(program), "--inventory", str(self.inventory), str(playbook), *arguments]

    def start(self, *arguments: str, playbook: Path = SITE) -> subprocess.Popen[str]:
        """Begin a run, in a process group of its own so that it can be killed whole."""
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
        return subprocess.Popen(
            self.command(*arguments, playbook=playbook),
            cwd=ROOT,
            env={**environment, "RIG_HOST": self.host.name, "ANSIBLE_FORCE_COLOR": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, playbook: Path = SITE) -> Run:
        """A run to its end; whether that is a good one is the test's to say."""
        process = self.start(*arguments, playbook=playbook)
        output, _none = process.communicate(timeout=400)
        return Run(output, process.returncode)

    def converge(self, *arguments: str) -> Run:
        """A run that has to end well."""
        run = self.run(*arguments)
        assert run.code == 0, run.output
        return run

    def containers(self) -> dict[str, dict[str, Any]]:
        """What the engine says of every container, by Compose service."""
        found = self.host.sh("docker ps -aq | xargs -r docker inspect") or "[]"
        label = "com.docker.compose.service"
        return {c["Config"]["Labels"].get(label, c["Name"]): c for c in json.loads(found)}

    def lives(self) -> dict[str, tuple[str, str]]:
        """Which containers these are and since when they run."""
        return {n: (c["Id"], c["State"]["StartedAt"]) for n, c in self.containers().items()}

    def files(self) -> str:
        """Every file of the project with mode, owner, time and content."""
        return self.host.sh(LIST_FILES)

    def secret(self, name: str) -> str:
        return self.host.sh(f"cat /opt/gpubox/secrets/{name}").strip()

    @contextmanager
    def tunnel(self, port: int = 8080) -> Iterator[str]:
        """An address on the controller that is the box's own loopback port, as a user reaches it over SSH."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            local = free.getsockname()[1]
        forward = f"127.0.0.1:{local}:127.0.0.1:{port}"
        login = f"{USER}@{self.host.address}"
        process = subprocess.Popen(["ssh", "-N", *self.host.ssh_options, "-L", forward, login])
        try:
            _wait_for(local)
            yield f"http://localhost:{local}"
        finally:
            process.terminate()
            process.wait()


def _wait_for(port: int, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
