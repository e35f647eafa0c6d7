# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real nginx with the role's own definition and files, in front of a service that writes down what it gets."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.plugins.loader import init_plugin_loader
from ansible.utils.collection_loader import AnsibleCollectionConfig

from tests.repository import ROOT
from tests.rig.commands import run, succeeds
from tests.rig.images import busybox, upstream_image
from tests.unit.reverse_proxy_rendered import rendered

if TYPE_CHECKING:
    from collections.abc import Iterator

if not AnsibleCollectionConfig.collection_finder:  # once per process: lookups by their full names
    init_plugin_loader([str(ROOT / "collections")])

UPSTREAM = Path(__file__).with_name("reverse_proxy_upstream.py")
HOST_PYTHON = [f"--volume={path}:{path}:ro" for path in ("/usr", "/lib", "/lib64")]
KEY = "sk-canary-8c1f2e"
UNLIMITED = {"per_ip": "", "per_key": "", "connections_per_ip": 0, "connections_per_key": 0}


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for header, value in self.headers if header.lower() == name.lower()]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        return self.json["error"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Box:
    """One nginx on a Docker network of its own, with a place for the service named litellm."""

    directory: Path
    sites: list[dict[str, Any]]
    variables: dict[str, Any] = field(default_factory=dict)
    name: str = f"reverse-proxy-test-{os.getpid()}"

    def __post_init__(self) -> None:
        self.port = free_port()
        self.generation = 0
        self.image = busybox()
        self.upstream = f"{self.name}-upstream"
        self.definition = self.render()

    def render(self, **more: Any) -> dict[str, Any]:
        own: dict[str, Any] = {"reverse_proxy_sites": self.sites, "reverse_proxy_port": self.port}
        return rendered(**(own | self.variables | more))

    def write(self, definition: dict[str, Any]) -> None:
        """A new generation of the files, swapped in as the stack does it."""
        self.generation += 1
        generation = self.directory / f"generation{self.generation}"
        generation.mkdir(parents=True)
        for name, text in definition["files"].items():
            (generation / name).write_text(text)
            (generation / name).chmod(0o444)
        new = self.directory / "new"
        new.symlink_to(generation.name)
        new.replace(self.directory / "current")

    def start(self) -> None:
        upstream_image(self.definition["compose"]["image"])
        self.write(self.definition)
        service = {
            **self.definition["compose"],
            "volumes": [f"{self.directory}:{self.definition['files_dir']}:ro"],
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges:true"],
        }
        project = {
            "name": self.name,
            "services": {"reverse_proxy": service},
            "networks": {"edge": {}, "app": {}},
        }
        self.project = self.directory / "compose.json"
        self.project.write_text(json.dumps(project))
        self.compose("up", "--detach", "--pull", "never")
        self.container = self.compose("ps", "--quiet", "reverse_proxy", "--all").strip()
        try:
            self.compose("up", "--detach", "--wait", "--wait-timeout", "30", "--pull", "never")
        except RuntimeError as error:
            raise RuntimeError(self.logs()) from error

    def stop(self) -> None:
        run("docker", "rm", "--force", "--volumes", self.upstream)
        self.compose("down", "--timeout", "1")

    def compose(self, *words: str) -> str:
        return run("docker", "compose", "--file", self.project, *words)

    def start_upstream(self) -> None:
        run(
            *("docker", "run", "--detach", "--init", f"--name={self.upstream}"),
            *(f"--network={self.name}_app", "--network-alias=litellm", *HOST_PYTHON),
            *(f"--volume={UPSTREAM}:/upstream.py:ro", self.image),
            *("/usr/bin/python3", "/upstream.py"),
        )

    def address(self, container: str) -> str:
        networks = json.loads(
            run("docker", "inspect", "--format={{json .NetworkSettings.Networks}}", container)
        )
        return str(networks[f"{self.name}_app"]["IPAddress"])

    def reload(self) -> None:
        run("docker", "exec", self.container, *self.definition["reload"])

    def healthy(self) -> bool:
        test = self.definition["compose"]["healthcheck"]["test"]
        return succeeds("docker", "exec", self.container, *test[1:])

    def logs(self) -> str:
        """What nginx wrote, to both streams."""
        done = subprocess.run(
            ["docker", "logs", self.container], capture_output=True, text=True, check=True
        )
        return done.stdout + done.stderr

    def seen(self) -> list[dict[str, Any]]:
        return list(json.loads(self._notes("GET")))

    def forget(self) -> None:
        self._notes("DELETE")

    def _notes(self, method: str) -> bytes:
        address = self.address(self.upstream)
        with closing(http.client.HTTPConnection(address, 4001, timeout=15)) as connection:
            connection.request(method, "/")
            return connection.getresponse().read()

    def ask(
        self,
        method: str = "POST",
        path: str = "/v1/chat/completions",
        host: str = "llm.test",
        key: str | None = KEY,
        body: bytes = b"{}",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request on its own connection."""
        fields = {"Host": host, **(headers or {})}
        if key is not None:
            fields["Authorization"] = f"Bearer {key}"
        with closing(self.connection()) as connection:
            connection.request(method, path, body if method != "GET" else None, fields)
            response = connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read())

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)

    def socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=5)

    def stream_delays(self, events: int) -> list[float]:
        """How long after the service wrote each event of a stream it was here. Both read one clock."""
        headers = {"Host": "llm.test", "Authorization": f"Bearer {KEY}", "X-Behave": "stream"}
        with closing(self.connection()) as connection:
            connection.request(
                "POST", "/v1/chat/completions", b"{}", headers | {"X-Events": str(events)}
            )
            with connection.getresponse() as response:
                lines = ((line, time.monotonic()) for line in response)
                return [now - float(line[6:]) for line, now in lines if line.startswith(b"data: ")]

    def send(self, request: bytes) -> Answer:
        """Exactly these bytes, on their own connection."""
        with self.socket() as connection:
            connection.sendall(request)
            response = http.client.HTTPResponse(connection)
            response.begin()
            return Answer(response.status, response.getheaders(), response.read())


def eventually(condition: Any, seconds: float = 15) -> float:
    """How long it took until ``condition()`` was true."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, f"not within {seconds} s"
        time.sleep(0.1)
    return time.monotonic() - start


@contextmanager
def running(
    directory: Path, sites: list[dict[str, Any]], variables: dict[str, Any] | None = None
) -> Iterator[Box]:
    """A box whose first site, llm.test, answers. It starts, and says 502, while there is no service yet."""
    for parent in (directory, directory.parent, directory.parent.parent):
        parent.chmod(0o755)
    box = Box(directory, sites, variables or {})
    try:
        box.start()
        assert box.ask().status == 502
        box.start_upstream()
        eventually(lambda: box.ask().status == 200)
        yield box
    finally:
        box.stop()


def raw(path: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "Host: llm.test", f"Authorization: Bearer {KEY}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode()
