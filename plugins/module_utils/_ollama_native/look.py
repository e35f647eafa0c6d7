# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The box as it is: what a native Ollama needs to know of it, in one cheap pass. Private to this collection."""

from __future__ import annotations

import glob
import grp
import ipaddress
import json
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine.host import Engine
from ansible_collections.gpubox.llm.plugins.module_utils._files import read
from ansible_collections.gpubox.llm.plugins.module_utils._ollama_native import paths, table, unit
from ansible_collections.gpubox.llm.plugins.module_utils._runner import TaskError

__all__ = ["Bridge", "Seen", "Service", "command", "look", "service", "stamp", "try_command"]

PACKAGES = {"ip": "iproute2", "nft": "nftables", "zstd": "zstd"}
GROUPS = ("render", "video")  # whose members may use the GPU
SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ASKED = "LoadState,ActiveState,SubState,MainPID,UnitFileState,NeedDaemonReload,NRestarts"


def try_command(*argv: str) -> tuple[bool, str]:
    """Run a command that may fail; return whether it did well and what it said."""
    environment = {**os.environ, "LC_ALL": "C", "PATH": SEARCH}
    try:
        # This is no module, whose run_command pylint would have.
        # pylint: disable-next=ansible-bad-function
        done = subprocess.run(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env=environment,
        )
    except OSError as error:
        return False, str(error.strerror)
    return done.returncode == 0, done.stdout


def command(*argv: str) -> str:
    """Run a command that has to do well."""
    good, said = try_command(*argv)
    if not good:
        raise TaskError(f"{' '.join(argv)} failed: {said.strip()}. Cure that and run again.")
    return said


@dataclass(frozen=True)
class Bridge:
    """Docker's default bridge."""

    name: str
    address: str
    there: bool  # else this is what it will be once Docker is set up


@dataclass(frozen=True)
class Service:
    """What systemd says of the service, and what its process runs with."""

    states: Mapping[str, str] = field(default_factory=dict)
    program: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)
    user: str = ""

    @property
    def running(self) -> bool:
        return self.states.get("ActiveState") == "active" and bool(self.program)

    @property
    def enabled(self) -> bool:
        return self.states.get("UnitFileState") == "enabled"


@dataclass(frozen=True)
class Seen:
    """Everything at once."""

    absent: Sequence[str]  # packages to install
    bridge: Bridge
    lan: Sequence[str]
    listing: str  # of the nftables table
    unit_path: str
    texts: Mapping[str, str | None]  # by path: the files that are ours to write
    inherited: Mapping[str, str]  # OLLAMA_* that the unit and other drop-ins set
    version: str  # of the binary; empty for none
    unfinished: bool  # a run was killed while it swapped
    state: Mapping[str, Any]
    user: bool
    groups: Sequence[str]  # that the user is to join
    service: Service
    programs: Mapping[str, str]


def look() -> Seen:
    """Look at everything; refuse a box where Ollama cannot be a service."""
    _check_system()
    links = json.loads(try_command("ip", "-json", "-details", "address")[1] or "[]")
    folder, texts = _unit_texts()
    state = _state()
    user, groups = _user()
    return Seen(
        absent=[
            package
            for program, package in PACKAGES.items()
            if not shutil.which(program, path=SEARCH)
        ],
        bridge=_bridge(links),
        lan=table.lan_bridges(links),
        listing=_listing(),
        unit_path=folder and f"{folder}/{paths.SERVICE}",
        texts={
            path: read(path)
            for path in (paths.UNIT, paths.DROP_IN, paths.SETTINGS, paths.TABLE, paths.PROFILE)
        },
        inherited=_inherited(texts),
        version=_version(state),
        unfinished=os.path.exists(paths.KEPT),
        state=state,
        user=user,
        groups=groups,
        service=service(),
        programs={
            name: shutil.which(name, path=SEARCH) or f"/usr/sbin/{name}" for name in ("ip", "nft")
        },
    )


def _state() -> dict[str, Any]:
    """Return what an earlier run remembered; a file that says nothing is one that is not there."""
    try:
        return dict(json.loads(read(paths.STATE) or "{}"))
    except ValueError:
        return {}


def _listing() -> str:
    there, said = try_command("nft", "list", "table", *table.NAME.split())
    return said if there else ""


def _check_system() -> None:
    kernel = (read("/proc/sys/kernel/osrelease") or "").strip()
    if os.geteuid() != 0:
        raise TaskError("ollama_native needs root on the box. Set become: true.")
    if kernel.endswith("-Microsoft"):
        raise TaskError(
            f"this is WSL 1 (kernel {kernel}), where no GPU and no Docker work. Convert the distribution with "
            "'wsl --set-version NAME 2' in PowerShell."
        )
    if not os.path.isdir("/run/systemd/system"):
        cure = (
            " On WSL 2, systemd=true in the section [boot] of /etc/wsl.conf starts it."
            if "icrosoft" in kernel
            else ""
        )
        raise TaskError(
            "systemd does not run on this box, and a native Ollama is a service of it. "
            f"Use ollama_placement: container, which needs only Docker.{cure}"
        )


def _bridge(links: Sequence[Mapping[str, Any]]) -> Bridge:
    network = Engine().get("/networks/bridge") or {}
    name = (network.get("Options") or {}).get("com.docker.network.bridge.name", "docker0")
    for link in links:
        for address in link.get("addr_info") or [] if link.get("ifname") == name else []:
            if address["family"] == "inet":
                return Bridge(name, address["local"], there=True)
    known = re.search(r'^OLLAMA_HOST="([^":]+)', read(paths.SETTINGS) or "", re.MULTILINE)
    return Bridge(name, known[1] if known else _first_free(links), there=False)


def _first_free(links: Sequence[Mapping[str, Any]]) -> str:
    """Return the address that Docker will give its bridge: of the first of its ranges that the box does not use."""
    used = [
        ipaddress.ip_interface(f"{address['local']}/{address['prefixlen']}").network
        for link in links
        for address in link.get("addr_info") or []
        if address["family"] == "inet"
    ]
    ranges = (ipaddress.ip_network(f"172.{second}.0.0/16") for second in range(17, 32))
    free = (network for network in ranges if not any(network.overlaps(other) for other in used))
    return str(next(free, ipaddress.ip_network("172.17.0.0/16"))[1])


def _unit_texts() -> tuple[str, list[str]]:
    """Return the directory of the unit and the texts of it and of others' drop-ins, in systemd's order."""
    folder = next((f for f in paths.UNIT_FOLDERS if os.path.exists(f"{f}/{paths.SERVICE}")), "")
    by_name: dict[str, str] = {}
    for base in reversed(paths.UNIT_FOLDERS):
        for path in glob.glob(f"{base}/{paths.SERVICE}.d/*.conf"):
            by_name[os.path.basename(path)] = path
    by_name.pop(os.path.basename(paths.DROP_IN), None)
    files = [f"{folder}/{paths.SERVICE}"] if folder else []
    return folder, [
        read(path) or "" for path in [*files, *(by_name[name] for name in sorted(by_name))]
    ]


def _inherited(texts: Sequence[str]) -> dict[str, str]:
    found = unit.environment(texts)
    for path in unit.environment_files(texts):
        found.update(unit.variables(read(path) or ""))
    return {name: value for name, value in sorted(found.items()) if name.startswith("OLLAMA_")}


def stamp(path: str = paths.BINARY) -> list[int]:
    """Return what tells this very file from another one without reading it."""
    try:
        status = os.stat(path)
    except OSError:
        return []
    return [status.st_ino, status.st_size, status.st_mtime_ns]


def _version(state: Mapping[str, Any]) -> str:
    now = stamp()
    if not now or now == state.get("stamp"):
        return str(state["version"]) if now else ""
    return client_version(paths.BINARY)


def client_version(binary: str) -> str:
    """Ask the program itself; no server is asked, so that its version cannot be mistaken for the program's."""
    said = try_command("env", "HOME=/nonexistent", "OLLAMA_HOST=127.0.0.1:1", binary, "--version")[
        1
    ]
    found = re.search(r"client version is (\S+)", said) or re.search(r"version is (\S+)", said)
    return found[1] if found else "unknown"


def _user() -> tuple[bool, list[str]]:
    try:
        account = pwd.getpwnam(paths.USER)
    except KeyError:
        return False, [name for name in GROUPS if _group(name)]
    there = os.getgrouplist(paths.USER, account.pw_gid)
    return True, [name for name in GROUPS if (group := _group(name)) and group.gr_gid not in there]


def _group(name: str) -> grp.struct_group | None:
    try:
        return grp.getgrnam(name)
    except KeyError:
        return None


def service() -> Service:
    """Ask systemd and the process itself."""
    said = try_command("systemctl", "show", paths.SERVICE, f"--property={ASKED}")[1]
    states = dict(line.partition("=")[::2] for line in said.splitlines())
    pid = states.get("MainPID", "0")
    try:
        program = os.readlink(f"/proc/{pid}/exe")
        with open(f"/proc/{pid}/environ", "rb") as stream:
            words = stream.read().decode(errors="surrogateescape").split("\0")
        user = pwd.getpwuid(os.stat(f"/proc/{pid}").st_uid).pw_name
    except (OSError, KeyError):
        return Service(states)
    return Service(states, program, dict(word.partition("=")[::2] for word in words), user)
