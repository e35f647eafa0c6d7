# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The box below the engine: its files, its processes, its init system. Private to this collection."""

from __future__ import annotations

import glob
import http.client
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable

from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine.daemon import HostError
from ansible_collections.gpubox.llm.plugins.module_utils._files import read, replace

__all__ = ["SOCKET", "Engine", "Host", "Process", "read", "write"]

SOCKET = "/var/run/docker.sock"
PIDFILE = "/var/run/docker.pid"
LOG = "/var/log/dockerd.log"
PLUGINS = (
    "/root/.docker/cli-plugins",
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)
Run = Callable[..., tuple[int, str, str]]


def write(path: str, text: str, mode: int = 0o644) -> None:
    """Replace a file as a whole, in a folder that is made if it is not there."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        replace(path, text, mode)
    except OSError as error:
        raise HostError(
            f"{path} cannot be written: {error.strerror}. The file is as it was."
        ) from error


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """Reads from the engine's socket; the Docker SDK may not be installed yet."""

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path

    def get(self, path: str) -> Any:
        """Return the decoded answer, or None if no engine answers."""
        connection = _Connection(self._path, timeout=15)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        return json.loads(body) if answer.status == http.client.OK else None


@dataclass(frozen=True)
class Process:
    """A running dockerd of this box."""

    pid: int
    started: float  # seconds since the epoch
    identity: str  # the same only for the same process since the same boot
    argv: Sequence[str]
    environ: Mapping[str, str]


class Host:
    """Looks and acts; what to do is decided elsewhere."""

    def __init__(self, run: Run) -> None:
        self._command = run
        if os.path.isdir("/run/systemd/system"):
            self.init = "systemd"
        elif os.path.exists("/etc/inittab") and os.path.exists("/etc/init.d/docker"):
            self.init = "sysvinit"
        else:
            self.init = "none"

    def _run(self, argv: Sequence[str], data: str | None = None) -> tuple[int, str, str]:
        try:
            return self._command(list(argv), data=data)
        except OSError as error:
            return 127, "", str(error.strerror)

    def try_command(self, *argv: str) -> tuple[bool, str]:
        """Run a command that may fail and return whether it succeeded and what it said."""
        code, out, _err = self._run(argv)
        return code == 0, out

    def command(self, *argv: str, data: str | None = None) -> str:
        """Run a command that has to succeed and return what it says."""
        code, out, err = self._run(argv, data)
        if code != 0:
            raise HostError(f"{' '.join(argv)} failed: {(err or out).strip()}")
        return out

    def process(self) -> Process | None:
        """Return this box's dockerd; an engine without one (Docker Desktop, a forwarded socket) is not ours."""
        try:
            pid = int((read(PIDFILE) or "").strip())
            if (read(f"/proc/{pid}/comm") or "").strip() != "dockerd":
                return None
            ticks = int((read(f"/proc/{pid}/stat") or "").rsplit(")", 1)[1].split()[19])
            argv, environ = _words(f"/proc/{pid}/cmdline"), _words(f"/proc/{pid}/environ")
        except (ValueError, IndexError, OSError):
            return None
        uptime = float((read("/proc/uptime") or "0").split()[0])
        started = time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")
        boot = (read("/proc/sys/kernel/random/boot_id") or "").strip()
        pairs = dict(item.partition("=")[::2] for item in environ)
        return Process(pid, started, f"{boot}:{pid}:{ticks}", argv, pairs)

    def unit_argv(self) -> list[str]:
        """Return the command line that the init system starts dockerd with."""
        words = ["dockerd"]
        if self.init == "systemd":
            text = self.command("systemctl", "show", "docker.service", "-p", "ExecStart", "--value")
            words = shlex.split(text.partition("argv[]=")[2].partition(" ;")[0]) or words
        options = [
            line
            for line in (read("/etc/default/docker") or "").splitlines()
            if line.startswith("DOCKER_OPTS=")
        ]
        if options and self.init != "systemd":
            words += shlex.split(shlex.split(options[-1].partition("=")[2] or "''")[0])
        return words

    def plugin_version(self, name: str) -> str | None:
        """Return the version of a plugin of the docker CLI. Asking the plugin itself is twice as fast as the CLI."""
        path = self.plugin(name)
        if path is None:
            return None
        code, out, _err = self._run([path, "docker-cli-plugin-metadata"])
        return str(json.loads(out).get("Version", "")) if code == 0 else None

    def plugin(self, name: str) -> str | None:
        """Return the path of a plugin of the docker CLI."""
        paths = (os.path.join(folder, f"docker-{name}") for folder in PLUGINS)
        return next((path for path in paths if os.access(path, os.X_OK)), None)

    def dockerd_version(self) -> str | None:
        """Return the version of an installed dockerd that may not be running."""
        if not shutil.which("dockerd"):
            return None
        return self.command("dockerd", "--version").partition("version ")[2].partition(",")[0]

    def engine_package(self) -> str | None:
        """Return the package that owns dockerd, if a package does."""
        path = os.path.realpath(shutil.which("dockerd") or "/nonexistent")
        query = (
            ["dpkg-query", "-S", path]
            if shutil.which("dpkg-query")
            else ["rpm", "-qf", "--qf", "%{NAME}:", path]
        )
        code, out, _err = self._run(query)
        return out.partition(":")[0].strip() if code == 0 else None

    def absent_packages(self, names: Sequence[str]) -> list[str]:
        """Return those of ``names`` that the package manager does not count as installed."""
        if not names:
            return []
        if shutil.which("dpkg-query"):
            _code, out, _err = self._run(
                ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *names]
            )
            there = {line.split()[0] for line in out.splitlines() if line.endswith(" installed")}
            return [name for name in names if name not in there]
        return [name for name in names if self._run(["rpm", "-q", name])[0] != 0]

    def sources(self) -> str:
        """Return the texts of all package sources that are not the role's own, which it replaces."""
        paths = [
            "/etc/apt/sources.list",
            *glob.glob("/etc/apt/sources.list.d/*"),
            *glob.glob("/etc/yum.repos.d/*.repo"),
        ]
        return "\n".join(read(path) or "" for path in sorted(paths) if "/gpubox-" not in path)

    def enabled(self) -> bool:
        """Tell whether the engine starts with the box; without an init system nothing does."""
        return (
            self.init != "systemd"
            or self._run(["systemctl", "is-enabled", "docker.service"])[0] == 0
        )

    def reload(self) -> None:
        """Make dockerd read its configuration again; this is also what its unit does."""
        process = self.process()
        if process:
            os.kill(process.pid, signal.SIGHUP)

    def start(self, timeout: int, old: Process | None = None) -> None:
        """Start the engine, or restart ``old``, and wait until it answers."""
        since = time.time()
        if self.init == "systemd":
            self._run(["systemctl", "reset-failed", "docker.service"])
            self._run(["systemctl", "restart" if old else "start", "docker.service"])
        elif self.init == "sysvinit":
            self._run(["service", "docker", "restart" if old else "start"])
        else:
            if old:
                self._stop(old, timeout)
            self._spawn(old)
        while not self._answers(old):
            if time.time() - since > timeout:
                raise HostError(self._complaint(timeout))
            time.sleep(0.2)

    def _answers(self, old: Process | None) -> bool:
        process = self.process()
        fresh = process is not None and (old is None or process.identity != old.identity)
        return fresh and Engine().get("/info") is not None

    def _stop(self, old: Process, timeout: int) -> None:
        end = time.time() + timeout
        signals = [signal.SIGTERM]
        while (now := self.process()) and now.identity == old.identity:
            if signals:
                os.kill(old.pid, signals.pop())
            if time.time() > end:
                raise HostError(f"dockerd (process {old.pid}) does not end within {timeout} s.")
            time.sleep(0.1)

    def _spawn(self, old: Process | None) -> None:
        """Start dockerd on its own where no init system does, the way it was started before."""
        path = shutil.which("dockerd") or "dockerd"
        argv = [path, *(old.argv if old else self.unit_argv())[1:]]
        with open(LOG, "ab") as log:
            # What run_command starts ends with the module; the engine has to stay.
            # pylint: disable-next=ansible-bad-function
            subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
                env=dict(old.environ) if old else None,
            )

    def _complaint(self, timeout: int) -> str:
        if self.init == "systemd":
            _code, text, _err = self._run(
                ["journalctl", "-u", "docker.service", "-n", "12", "--no-pager", "-o", "cat"]
            )
            where = "journalctl -u docker.service"
        else:
            text, where = read(LOG) or "", LOG
        lines = "\n".join(text.splitlines()[-12:])
        return f"Docker Engine does not answer on {SOCKET} within {timeout} s. Its last lines ({where}):\n{lines}"


def _words(path: str) -> list[str]:
    with open(path, "rb") as stream:
        return stream.read().decode(errors="surrogateescape").rstrip("\0").split("\0")
