# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One Compose project on one engine: verbs only. Private to this collection.

Containers, images and networks are read through the Docker SDK; containers change through ``docker compose`` alone.
Networks are objects of their own, which the compose file names as external: Compose 2.26 and 2.40 treat a changed
network differently, and neither leaves the services running.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any, Callable

from ansible_collections.gpubox.llm.plugins.module_utils._docker import (
    EngineError,
    client,
    docker,
)
from ansible_collections.gpubox.llm.plugins.module_utils._stack.service import (
    LABEL_HASH,
    LABEL_SERVICE,
    Container,
    Network,
    Service,
)

__all__ = ["ComposeError", "Engine"]

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
VOLUME_LABEL = "com.docker.compose.volume"
MINIMUM_API = (1, 44)  # Engine 25: health checks with start_interval, safe defaults for networks
TIMEOUT_SECONDS = 120
KILL_AFTER_SECONDS = 60
SECONDS_BETWEEN_LINES = 2


class ComposeError(RuntimeError):
    """A docker command failed; ``output`` holds what it said."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output


class Engine:
    """One project of the engine. ``available`` is False where no engine answers."""

    def __init__(self, project: str, compose_file: str) -> None:
        self.project = project
        self._file = compose_file
        self._images: dict[str, str] = {}
        self._api = client(TIMEOUT_SECONDS)
        if self.available:
            self._check_version()

    @property
    def available(self) -> bool:
        """Whether an engine answers."""
        return self._api is not None

    def _check_version(self) -> None:
        version = self._api.api_version
        if tuple(int(part) for part in version.split(".")) < MINIMUM_API:
            minimum = ".".join(str(part) for part in MINIMUM_API)
            raise EngineError(
                f"the Docker engine speaks API {version}; at least {minimum} (Engine 25) is needed. "
                "Upgrade it, or let the role docker_host install a current one (docker_host_source)"
            )

    # -- reading ---------------------------------------------------------------------------------------------

    def containers(self) -> dict[str, Container]:
        """The project's containers by service."""
        if not self.available:
            return {}
        listed = self._api.containers(
            all=True, filters={"label": f"{PROJECT_LABEL}={self.project}"}
        )
        return {
            container.service: container
            for container in (
                _container(self._api.inspect_container(entry["Id"])) for entry in listed
            )
            if container.service
        }

    def image_id(self, reference: str) -> str:
        """The ID of a local image; empty if it is not there."""
        if not self.available:
            return ""
        if reference not in self._images:
            try:
                self._images[reference] = str(self._api.inspect_image(reference)["Id"])
            except docker.errors.ImageNotFound:
                return ""
        return self._images[reference]

    def networks(self) -> dict[str, dict[str, Any]]:
        """All networks of the engine by name: ``label``, ``project``, ``subnets``."""
        if not self.available:
            return {}
        return {
            network["Name"]: {
                "label": (network.get("Labels") or {}).get(LABEL_HASH, ""),
                "project": (network.get("Labels") or {}).get(PROJECT_LABEL, ""),
                "subnets": [
                    c["Subnet"]
                    for c in (network.get("IPAM") or {}).get("Config") or []
                    if c.get("Subnet")
                ],
            }
            for network in self._api.networks()
        }

    def name_of(self, container_id: str) -> str:
        """A container's name."""
        return str(self._api.inspect_container(container_id)["Name"]).lstrip("/")

    def publishers(self) -> list[tuple[str, str, int, str]]:
        """Container name, address, port and protocol of every published port on the engine."""
        return [
            (
                entry["Names"][0].lstrip("/"),
                port.get("IP", "0.0.0.0"),
                port["PublicPort"],
                port["Type"],
            )
            for entry in self._api.containers()
            for port in entry.get("Ports") or []
            if port.get("PublicPort")
        ]

    def root_dir(self) -> str:
        """Where the engine keeps images and volumes."""
        return str(self._api.info().get("DockerRootDir") or "/var/lib/docker")

    def why(self, container_id: str, lines: int = 20) -> str:
        """What a container's health check and log say last."""
        details = self._api.inspect_container(container_id)
        state = details["State"]
        parts = [f"state {state['Status']}, exit code {state['ExitCode']}"]
        checks = (state.get("Health") or {}).get("Log") or []
        if checks:
            parts.append("health check: " + checks[-1]["Output"].strip()[-800:])
        log = self._api.logs(container_id, tail=lines).decode(errors="replace").strip()
        if log:
            parts.append(f"last lines of its log:\n{log}")
        return "\n".join(parts)

    # -- writing ---------------------------------------------------------------------------------------------

    def pull(self, reference: str, say: Callable[[str], None]) -> None:
        """Pull an image; what is done is said about every two seconds."""
        layers: dict[str, tuple[int, int]] = {}
        told = 0.0
        try:
            for event in self._api.pull(reference, stream=True, decode=True):
                if event.get("error"):
                    raise EngineError(f"image {reference} cannot be pulled: {event['error']}")
                detail = event.get("progressDetail") or {}
                if detail.get("total"):
                    layers[event["id"]] = (int(detail.get("current", 0)), int(detail["total"]))
                if layers and time.monotonic() - told > SECONDS_BETWEEN_LINES:
                    told = time.monotonic()
                    done, total = (sum(pair[i] for pair in layers.values()) for i in (0, 1))
                    say(f"{reference}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")
        except docker.errors.APIError as error:
            raise EngineError(
                f"image {reference} cannot be pulled: {error.explanation or error}. "
                "Check the name, the registry and its credentials, or build from packages with llm_images: auto"
            ) from error

    def create_network(self, network: Network) -> None:
        """Create one of the stack's networks."""
        options = dict(network.options)
        subnet = options.pop("subnet", None)
        ipam = (
            docker.types.IPAMConfig(pool_configs=[docker.types.IPAMPool(subnet=subnet)])
            if subnet
            else None
        )
        try:
            self._api.create_network(
                network.name,
                driver=options.pop("driver", "bridge"),
                internal=options.pop("internal", False),
                enable_ipv6=options.pop("enable_ipv6", False),
                options=options.pop("driver_opts", None),
                ipam=ipam,
                labels={LABEL_HASH: network.label, PROJECT_LABEL: self.project},
            )
        except docker.errors.APIError as error:
            raise EngineError(
                f"network {network.name} cannot be created: {error.explanation or error}"
            ) from error

    def remove_network(self, name: str) -> dict[str, list[str]]:
        """Remove a network; returns the aliases of the containers that had to leave it."""
        attached = {}
        for container in self._api.inspect_network(name).get("Containers") or {}:
            endpoint = self._api.inspect_container(container)["NetworkSettings"]["Networks"][name]
            attached[container] = [
                alias for alias in endpoint.get("Aliases") or [] if not container.startswith(alias)
            ]
            self._api.disconnect_container_from_network(container, name, force=True)
        self._api.remove_network(name)
        return attached

    def connect(self, container: str, network: str, aliases: Sequence[str]) -> None:
        """Let a foreign container join a network again."""
        self._api.connect_container_to_network(container, network, aliases=list(aliases))

    def execute(self, container_id: str, command: Sequence[str]) -> tuple[int, str]:
        """Run a command in a container: exit code and output."""
        job = self._api.exec_create(container_id, list(command))
        output = self._api.exec_start(job["Id"]).decode(errors="replace")
        return int(self._api.exec_inspect(job["Id"])["ExitCode"]), output.strip()

    def remove_volume(self, name: str) -> None:
        """Remove a volume with its data."""
        self._api.remove_volume(name, force=True)

    def volumes(self) -> list[str]:
        """The project's volumes."""
        filters = {"label": f"{PROJECT_LABEL}={self.project}"}
        return [
            volume["Name"] for volume in self._api.volumes(filters=filters).get("Volumes") or []
        ]

    def remove_container(self, container_id: str) -> None:
        """Stop a container the way it wants to be stopped, then remove it."""
        self._api.stop(container_id)
        self._api.remove_container(container_id, v=True, force=True)

    def check(self, compose_text: str) -> None:
        """Let Compose parse a definition without writing or starting anything."""
        try:
            self._compose(["config", "--quiet"], file="-", stdin=compose_text)
        except ComposeError as error:
            raise ComposeError("docker compose refuses the definition", error.output) from error

    def up(
        self,
        services: Sequence[str],
        *,
        recreate: bool,
        wait_seconds: int,
        keep: Sequence[int],
        tick: Callable[[], None],
    ) -> None:
        """Bring up exactly ``services`` and wait until they are healthy. ``tick`` is called about once a second."""
        arguments = [
            "up",
            "--detach",
            "--wait",
            "--wait-timeout",
            str(wait_seconds),
            "--no-deps",
            "--pull",
            "never",
        ]
        arguments += ["--no-color", "--force-recreate" if recreate else "--no-recreate", *services]
        self._compose(arguments, keep=keep, tick=tick, timeout=wait_seconds + KILL_AFTER_SECONDS)

    def validate(self, service: Service, mounts: Mapping[str, str]) -> tuple[int, str]:
        """Run the service's own check in a throw-away container without network; ``mounts``: source by target."""
        owner = f"{service.uid}:{service.gid}"
        command = ["--read-only", "--user", owner]
        command += [f"--tmpfs={mount}" for mount in service.compose.get("tmpfs") or []]
        command += [f"--volume={source}:{target}:ro" for target, source in mounts.items()]
        environment = service.compose.get("environment") or {}
        pairs = (
            environment.items()
            if isinstance(environment, Mapping)
            else (e.split("=", 1) for e in environment)
        )
        command += [f"--env={name}={value}" for name, value in pairs]
        return self._throw_away(command, service.image, service.validate)

    def own_volume(self, name: str, service: Service, target: str) -> tuple[int, str]:
        """Create a volume if it is not there, and give its root to the service's user."""
        labels = {PROJECT_LABEL: self.project, VOLUME_LABEL: name}  # Compose takes it for its own
        volume = f"{self.project}_{name}"
        self._api.create_volume(volume, labels=labels)
        command = ["--user", "0:0", "--cap-add", "CHOWN", f"--volume={volume}:{target}"]
        owner = f"{service.uid}:{service.gid}"
        return self._throw_away(command, service.image, ["chown", owner, target])

    def _throw_away(
        self, options: Sequence[str], image: str, command: Sequence[str]
    ) -> tuple[int, str]:
        """Run one command in a container without network or privileges: exit code and output."""
        run = ["docker", "run", "--rm", "--network", "none", "--cap-drop", "ALL"]
        run += ["--security-opt", "no-new-privileges", "--pull", "never", *options]
        # This is no module, whose run_command pylint would have.
        # pylint: disable-next=ansible-bad-function
        done = subprocess.run(
            [*run, "--entrypoint", command[0], image, *command[1:]],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=180,
            check=False,
        )
        return done.returncode, _plain(done.stdout)

    def _compose(
        self,
        arguments: Sequence[str],
        *,
        file: str = "",
        stdin: str = "",
        keep: Sequence[int] = (),
        tick: Callable[[], None] = lambda: None,
        timeout: int = KILL_AFTER_SECONDS,
    ) -> str:
        command = ["docker", "compose", "--project-name", self.project]
        command += [
            "--file",
            file or self._file,
            "--project-directory",
            os.path.dirname(self._file),
            *arguments,
        ]
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")
        }
        # A module's run_command would show nothing until the end.
        # pylint: disable-next=ansible-bad-function
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=list(keep),
            env=environment,
        )
        deadline = time.monotonic() + timeout
        text: str | None = stdin
        while True:
            try:
                output, _unused = process.communicate(text, timeout=1)
                break
            except subprocess.TimeoutExpired:
                text = None
                tick()
                if time.monotonic() > deadline:
                    process.kill()
        if process.returncode != 0:
            raise ComposeError(f"docker compose {arguments[0]} failed", _last_lines(output))
        return output


def _plain(output: str) -> str:
    """The text without the colours that tools write into pipes, too."""
    return re.sub(r"\x1b\[[0-9;]*m", "", output).strip()


def _last_lines(output: str, lines: int = 15) -> str:
    return "\n".join(_plain(output).splitlines()[-lines:])


def _container(details: Mapping[str, Any]) -> Container:
    labels = details["Config"].get("Labels") or {}
    host, state = details["HostConfig"], details["State"]
    return Container(
        id=details["Id"],
        service=labels.get(LABEL_SERVICE) or labels.get(SERVICE_LABEL) or "",
        state=state["Status"],
        health=(state.get("Health") or {}).get("Status", ""),
        label=labels.get(LABEL_HASH, ""),
        image_id=details["Image"],
        networks=frozenset((details["NetworkSettings"].get("Networks") or {}).keys()),
        mounts=frozenset(mount.get("Source", "") for mount in details.get("Mounts") or []),
        started_at=state.get("StartedAt", ""),
        limits={
            "memory": host.get("Memory") or 0,
            "pids": host.get("PidsLimit") or 0,
            "cpus": round((host.get("NanoCpus") or 0) / 1e9, 3),
            "restart": (host.get("RestartPolicy") or {}).get("Name") or "no",
        },
    )
