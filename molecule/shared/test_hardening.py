# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How every container is held, read back from the engine (SECURITY list; docker-bench's runtime checks)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.rig.box import Box

Container = dict[str, Any]


def _host(container: Container) -> Any:
    return container["HostConfig"]


def _uid(container: Container) -> int:
    return int(container["Config"]["User"].split(":")[0])


def _published(container: Container) -> list[str]:
    ports = (_host(container)["PortBindings"] or {}).values()
    return [binding["HostIp"] for bindings in ports for binding in bindings]


def _sources(container: Container) -> set[str]:
    return {mount.get("Source", "") for mount in container["Mounts"]}


SENSITIVE = ("/", "/boot", "/dev", "/etc", "/lib", "/proc", "/sys", "/usr", "/var/lib/docker")
CHECKS: dict[str, Callable[[Container], bool]] = {
    "not privileged": lambda c: not _host(c)["Privileged"],
    "all capabilities dropped": lambda c: _host(c)["CapDrop"] == ["ALL"],
    "no capability added": lambda c: not _host(c)["CapAdd"],
    "no new privileges": lambda c: "no-new-privileges:true" in _host(c)["SecurityOpt"],
    "seccomp and apparmor not lifted": lambda c: "unconfined" not in str(_host(c)["SecurityOpt"]),
    "read-only root": lambda c: _host(c)["ReadonlyRootfs"],
    "tmpfs limited": lambda c: all("size=" in o for o in (_host(c)["Tmpfs"] or {}).values()),
    "numeric user, not root": lambda c: _uid(c) > 0,
    "memory limited": lambda c: _host(c)["Memory"] > 0,
    "processes limited": lambda c: (_host(c)["PidsLimit"] or 0) > 0,
    "no host network": lambda c: _host(c)["NetworkMode"] != "host",
    "no host processes": lambda c: _host(c)["PidMode"] == "",
    "no host IPC": lambda c: _host(c)["IpcMode"] != "host",
    "no host UTS": lambda c: _host(c)["UTSMode"] == "",
    "no host user namespace": lambda c: _host(c)["UsernsMode"] == "",
    "no devices": lambda c: not _host(c)["Devices"] and not _host(c)["DeviceRequests"],
    "no engine socket": lambda c: not any("docker.sock" in source for source in _sources(c)),
    "no sensitive mount": lambda c: not _sources(c).intersection(SENSITIVE),
    "mounts not shared": lambda c: all("shared" not in m["Propagation"] for m in c["Mounts"]),
    "mounts read-only": lambda c: not any(mount["RW"] for mount in c["Mounts"]),
    "ports on loopback": lambda c: all(address == "127.0.0.1" for address in _published(c)),
    "health check": lambda c: bool(c["Config"]["Healthcheck"]["Test"]),
    "healthy": lambda c: c["State"]["Health"]["Status"] == "healthy",
    "not on docker0": lambda c: "bridge" not in c["NetworkSettings"]["Networks"],
    "comes back after a reboot": lambda c: _host(c)["RestartPolicy"]["Name"] == "unless-stopped",
    "logs are rotated": lambda c: {"max-size", "max-file"} <= set(_host(c)["LogConfig"]["Config"]),
    "image is pinned": lambda c: (
        ":" in c["Config"]["Image"] and ":latest" not in c["Config"]["Image"]
    ),
}


# What a service cannot do without.
EXCEPTIONS = {("ollama", "mounts read-only"): "its models"}


def test_there_are_containers(box: Box, services: dict[str, int]) -> None:
    assert set(box.containers()) == set(services)


@pytest.mark.parametrize("check", CHECKS)
def test_hardening(box: Box, check: str) -> None:
    failing = [name for name, c in box.containers().items() if not CHECKS[check](c)]
    assert [name for name in failing if (name, check) not in EXCEPTIONS] == []


def test_only_the_proxy_publishes(box: Box) -> None:
    assert [name for name, c in box.containers().items() if _published(c)] == ["reverse_proxy"]


def test_processes_have_no_capability(box: Box) -> None:
    """What the kernel says, not what was asked for."""
    for name, container in box.containers().items():
        status = box.host.sh(f"cat /proc/{container['State']['Pid']}/status")
        facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert int(facts["CapEff"], 16) == int(facts["CapBnd"], 16) == 0, name
        assert facts["NoNewPrivs"] == "1", name
        assert facts["Seccomp"] == "2", name


def test_files_of_secrets(box: Box) -> None:
    """0400 in a 0700 directory, owned by the container's user; the originals by root."""
    found = box.host.sh(
        "find /opt/gpubox/secrets /opt/gpubox/services/*/secrets/* -printf '%y %m %U %p\\n'"
    )
    uids = {name: _uid(container) for name, container in box.containers().items()}
    for kind, mode, uid, path in (line.split(" ", 3) for line in found.splitlines()):
        owner = uids[path.split("/")[4]] if path.startswith("/opt/gpubox/services/") else 0
        expected = ("700" if kind == "d" else "400", str(owner))
        assert (mode, uid) == expected, path
