# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine to install a box on: Debian 12 under systemd, reached over SSH, with room for its own engine."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.rig.commands import CACHE, own, run, succeeds
from tests.rig.images import system_image

if TYPE_CHECKING:
    from pathlib import Path

USER = "box"
# Nothing of Docker: installing the engine is the collection's work. sudo, because few boxes allow root by SSH.
PACKAGES = (
    "ca-certificates",
    "curl",
    "dbus",
    "iproute2",
    "iptables",
    "openssh-server",
    "python3",
    "sudo",
    "systemd",
    "systemd-sysv",
)
# Services that a container cannot or need not run; with them the boot takes 90 s and ends "degraded".
MASKED = (
    "getty.target",
    "systemd-logind.service",
    "systemd-udevd.service",
    "console-getty.service",
)
SETUP = (
    f"useradd --create-home --shell /bin/bash {USER}",
    f"echo '{USER} ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/{USER}",
    f"install -d -o {USER} -m 700 /home/{USER}/.ssh",
    f"systemctl mask {' '.join(MASKED)}",
)


@dataclass(frozen=True)
class Host:
    """One test host; everything of it on the outer engine carries its name."""

    name: str

    @property
    def container(self) -> str:
        return own(self.name)

    @property
    def directory(self) -> Path:
        """Where its SSH key lies."""
        return CACHE / "hosts" / self.container

    @property
    def address(self) -> str:
        template = "{{.NetworkSettings.IPAddress}}"
        return run("docker", "inspect", "--format", template, self.container).strip()

    @property
    def ssh_options(self) -> list[str]:
        """A host is made anew under an old address: its host key is nothing to remember."""
        options = ["-i", str(self.directory / "id"), "-o", "StrictHostKeyChecking=no"]
        return [*options, "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]

    def up(self, names: dict[str, str] | None = None, *mounts: str) -> None:
        """Start it afresh; ``names`` are host names that it resolves to other addresses than the world does."""
        self.down()
        hosts = [f"--add-host={name}:{address}" for name, address in (names or {}).items()]
        run(
            *("docker", "run", "--detach", "--name", self.container, "--hostname", self.name),
            *("--privileged", "--cgroupns", "host", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw"),
            *("--tmpfs", "/run", "--tmpfs", "/run/lock", "--stop-signal", "SIGRTMIN+3"),
            *("--volume", f"{self.container}:/var/lib/docker"),
            *(*hosts, *(f"--volume={mount}" for mount in mounts), image()),
        )
        self._let_in()
        self._wait()

    def down(self) -> None:
        """Remove it with everything it held."""
        run("docker", "rm", "--force", "--volumes", self.container)
        run("docker", "volume", "rm", "--force", self.container)
        shutil.rmtree(self.directory, ignore_errors=True)

    def sh(self, script: str) -> str:
        """What a shell of root on the host prints."""
        return run("docker", "exec", "--interactive", self.container, "sh", "-euc", script)

    def inventory(self) -> dict[str, Any]:
        """Its entry in a dynamic inventory."""
        if not succeeds("docker", "inspect", self.container):
            return {"_meta": {"hostvars": {}}}
        variables = {
            "ansible_host": self.address,
            "ansible_user": USER,
            "ansible_ssh_common_args": " ".join(self.ssh_options),
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        return {"gateway": {"hosts": [self.name]}, "_meta": {"hostvars": {self.name: variables}}}

    def _let_in(self) -> None:
        self.directory.mkdir(parents=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.directory / "id")
        keys = f"/home/{USER}/.ssh/authorized_keys"
        key = (self.directory / "id.pub").read_text()
        self.sh(f"cat > {keys} <<'END'\n{key}END\nchown {USER} {keys}; chmod 600 {keys}")

    def _wait(self, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not succeeds("ssh", *self.ssh_options, f"{USER}@{self.address}", "true"):
            if time.monotonic() > end:
                raise RuntimeError(
                    f"{self.container} does not answer: {self.sh('systemctl --failed')}"
                )
            time.sleep(0.3)
        state = self.sh("systemctl is-system-running --wait || true").strip()
        if state != "running":
            raise RuntimeError(f"{self.container} is {state}: {self.sh('systemctl --failed')}")


def image() -> str:
    """The machine's image; made where it is not there."""
    return system_image("host", "bookworm", PACKAGES, SETUP, 'CMD ["/sbin/init"]')


def describe(host: Host) -> str:
    """What a person needs to look around on it."""
    login = " ".join(["ssh", *host.ssh_options, f"{USER}@{host.address}"])
    return json.dumps(
        {"address": host.address, "container": host.container, "login": login}, indent=2
    )
