# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carries a plan out. Private to this collection.

The order is one in which a run that is killed at any point is completed by the next one: generations,
the compose file, networks, containers, reloads, and last of all the copy that says "this worked".
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._stack.engine import ComposeError, Engine
from ansible_collections.gpubox.llm.plugins.module_utils._stack.home import StackHome, write_tree
from ansible_collections.gpubox.llm.plugins.module_utils._stack.plan import (
    NEW_CONTAINER,
    Plan,
    Request,
    loaded_record,
)
from ansible_collections.gpubox.llm.plugins.module_utils._stack.preflight import preflight
from ansible_collections.gpubox.llm.plugins.module_utils._stack.service import (
    SECRETS_DIR,
    Container,
    Service,
    Step,
    named_volumes,
)

__all__ = ["Apply", "StackError", "take_down"]

RELOAD_CHECKS = 5
SECONDS_BETWEEN_LINES = 4


class StackError(RuntimeError):
    """The stack could not be made so; the message says what is left on the box."""


class Apply:
    """Checks plans and carries them out on one box. ``say`` shows a line to the user."""

    def __init__(
        self, request: Request, home: StackHome, engine: Engine, say: Callable[[str], None]
    ) -> None:
        self._request = request
        self._home = home
        self._engine = engine
        self._say = say
        self.lock: Sequence[int] = ()  # descriptors that children hold as well

    # -- before the first change -----------------------------------------------------------------

    def check(self, plan: Plan) -> None:
        """Refuse what is known to fail: ports, subnets, space, a definition that Compose rejects."""
        starting = plan.names(*NEW_CONTAINER)
        preflight(plan.services, plan.containers, starting, plan.networks, self._engine)
        self._check_space()
        if self._engine.available and starting:
            self._engine.check(plan.compose_text)

    def _check_space(self) -> None:
        wanted = self._request.min_free_bytes
        engine_root = self._engine.root_dir() if self._engine.available else "/"
        for path in (self._home.existing_parent(), engine_root):
            free = shutil.disk_usage(path).free
            if free < wanted:
                raise StackError(
                    f"only {free / 1e6:.0f} MB are free under {path}, stack_min_free_bytes asks for "
                    f"{wanted / 1e6:.0f} MB; free some space (docker system df shows what images take)"
                )

    def pull(self, plan: Plan) -> None:
        """Pull what is not there."""
        for image in plan.missing_images:
            self._say(f"{image}: pulling")
            self._engine.pull(image, self._say)

    def check_files(self, plan: Plan) -> None:
        """Let services check their new files themselves, in throw-away containers."""
        for name in plan.names(*NEW_CONTAINER, "reload"):
            service = plan.services[name]
            if service.validate and self._engine.image_id(service.image):
                self._say(f"{name}: checking its configuration")
                code, output = self._validate(service)
                if code != 0:
                    raise StackError(
                        f"{name} refuses its new configuration; nothing was changed.\n"
                        f"{output[-3000:]}"
                    )

    def _validate(self, service: Service) -> tuple[int, str]:
        scratch = tempfile.mkdtemp(prefix="gpubox-")
        owner = (service.uid, service.gid)
        mounts = {}
        try:
            if service.files:
                mounts[service.files_dir] = f"{scratch}/files"
                generation = f"/{service.files_tag}" if service.reload else ""
                write_tree(f"{scratch}/files{generation}", service.files, *owner)
                if service.reload:
                    StackHome.link(f"{scratch}/files", service.files_tag)
            if service.secrets:
                mounts[SECRETS_DIR] = f"{scratch}/secrets"
                write_tree(f"{scratch}/secrets", service.secrets, *owner)
            return self._engine.validate(service, mounts)
        finally:
            shutil.rmtree(scratch)

    # -- the change ------------------------------------------------------------------------------

    def write(self, plan: Plan) -> None:
        """Files, secrets and the compose file; what runs does not see any of it yet."""
        for name, value in plan.new_secrets.items():
            self._home.write_secret(name, value)
        for service in plan.services.values():
            self._home.write_generations(service)
        self._home.write("compose.yaml", plan.compose_text)

    def run(self, plan: Plan) -> None:
        """Carry the plan out; when that fails, go back and say why."""
        for name in plan.names("remove"):
            self._say(f"{name}: removing")
            if name in plan.containers:
                self._engine.remove_container(plan.containers[name].id)
        self._renew_networks(plan)
        try:
            self._own_volumes(plan)
            self._start(plan)
        except (ComposeError, StackError) as error:
            why = self._why(plan, error)
            raise StackError(f"{why}\n{self._roll_back(plan)}") from error
        self._home.write(".last-good.yaml", plan.compose_text)
        self._home.clean(_generations(plan))

    def _start(self, plan: Plan) -> None:
        new = plan.names(*NEW_CONTAINER)
        for name in new:
            service = plan.services[name]
            if service.reload and service.files:
                self._home.switch(name, service.files_tag)
        self._up(plan, plan.names("start"), recreate=False)
        self._up(plan, new, recreate=True)
        for name in plan.names("reload"):
            self._reload(plan.services[name], plan.containers[name])

    def _own_volumes(self, plan: Plan) -> None:
        """A new volume belongs to root, services to users of their own."""
        for service in (plan.services[name] for name in plan.names("create")):
            for volume, target in named_volumes(service.compose).items() if service.uid else ():
                code, output = self._engine.own_volume(volume, service, target)
                if code != 0:
                    raise StackError(
                        f"{service.name}: volume {volume} cannot be given to user {service.uid}.\n{output}"
                    )

    def _renew_networks(self, plan: Plan) -> None:
        foreign: dict[str, dict[str, list[str]]] = {}
        if set(plan.stale_networks) & set(plan.networks):
            for name in plan.names("recreate"):
                self._say(f"{name}: stopping, its network changes")
                self._engine.remove_container(plan.containers[name].id)
        for name in plan.stale_networks:
            foreign[name] = self._engine.remove_network(name)
        for name, network in plan.networks.items():
            self._engine.create_network(network)
            for container, aliases in foreign.get(name, {}).items():
                self._engine.connect(container, name, aliases)

    def _up(self, plan: Plan, names: Sequence[str], *, recreate: bool) -> None:
        if not names:
            return
        for step in plan.steps:
            if step.service in names:
                self._say(str(step))
        self._engine.up(
            names,
            recreate=recreate,
            wait_seconds=self._request.wait_seconds,
            keep=self.lock,
            tick=self._ticker(names),
        )

    def _ticker(self, names: Sequence[str]) -> Callable[[], None]:
        """Says every few seconds which services are not healthy yet."""
        told = time.monotonic()

        def tick() -> None:
            nonlocal told
            if time.monotonic() - told < SECONDS_BETWEEN_LINES:
                return
            told = time.monotonic()
            states = {name: c.health or c.state for name, c in self._engine.containers().items()}
            waiting = [f"{n} ({states.get(n, 'no container')})" for n in names]
            waiting = [line for line in waiting if not line.endswith("(healthy)")]
            if waiting:
                self._say(f"waiting for {', '.join(waiting)}")

        return tick

    def _reload(self, service: Service, container: Container) -> None:
        self._say(f"{service.name}: reload")
        self._home.switch(service.name, service.files_tag)
        code, output = self._engine.execute(container.id, service.reload)
        if code != 0:
            command = " ".join(service.reload)
            raise StackError(f"{service.name}: {command} ended with exit code {code}.\n{output}")
        for _attempt in range(RELOAD_CHECKS):
            code, output = self._engine.execute(container.id, _health_command(service))
            if code == 0:
                break
            time.sleep(1)
        else:
            raise StackError(f"{service.name} is not healthy after its reload.\n{output}")
        record = json.dumps(loaded_record(service, container))
        self._home.write(f"services/{service.name}/reloaded.json", record)

    # -- when it failed --------------------------------------------------------------------------

    def _why(self, plan: Plan, error: Exception) -> str:
        lines = [str(error)]
        containers = self._engine.containers()
        for name in plan.names(*NEW_CONTAINER, "start"):
            container = containers.get(name)
            if container and (container.state, container.health) != ("running", "healthy"):
                lines.append(f"service {name}: {self._engine.why(container.id)}")
        if isinstance(error, ComposeError) and error.output:
            lines.append(f"docker compose said:\n{error.output}")
        return "\n".join(lines)

    def _roll_back(self, plan: Plan) -> str:
        """Bring the previous generation of every touched service back; says what was done."""
        touched = plan.names(*NEW_CONTAINER, "reload")
        old = {name: self._previous(plan, name) for name in touched if name in plan.before}
        if not old:
            return (
                "There is no earlier generation to go back to; "
                "the failed containers were left for `docker compose logs`."
            )
        self._say(f"going back to the previous generation of {', '.join(old)}")
        networks = {**plan.compose_networks, **self._home.last_networks()}
        text = self._home.compose_text({**plan.compose, **old}, networks, self._request.project)
        self._home.write("compose.yaml", text)
        for name in old:
            if plan.services[name].reload and plan.generations.get(name):
                self._home.switch(name, plan.generations[name])
        for name in plan.names("reload"):
            self._engine.execute(plan.containers[name].id, plan.services[name].reload)
        recreated = [name for name in old if name in plan.names(*NEW_CONTAINER)]
        try:
            self._up(plan, recreated, recreate=True)
        except ComposeError as error:
            return f"Going back to the previous generation failed too: {error.output}"
        return f"The previous generation of {', '.join(sorted(old))} is running again."

    def _previous(self, plan: Plan, name: str) -> dict[str, Any]:
        definition, container = dict(plan.before[name]), plan.containers.get(name)
        if container and container.image_id != self._engine.image_id(definition["image"]):
            definition["image"] = container.image_id  # the tag has moved on
        return definition


def _health_command(service: Service) -> list[str]:
    """The service's health check as a command to run in its container."""
    test = service.compose["healthcheck"]["test"]
    if isinstance(test, str):
        return ["sh", "-c", test]
    return ["sh", "-c", test[1]] if test[0] == "CMD-SHELL" else list(test[1:])


def _generations(plan: Plan) -> dict[str, set[str]]:
    """Generations to keep, by service: the present ones and those before."""
    keep = {name: {s.files_tag, s.secrets_tag} for name, s in plan.services.items()}
    for composition in (plan.compose, plan.before):
        for name, definition in composition.items():
            names = keep.setdefault(name, set())
            for mount in definition.get("volumes") or []:
                if isinstance(mount, Mapping):
                    names.add(str(mount.get("source", "")).rsplit("/", 1)[-1])
    return keep


def take_down(
    home: StackHome, engine: Engine, *, data: bool, dry: bool, say: Callable[[str], None]
) -> dict[str, Any]:
    """Remove containers, networks and rendered files; volumes and the directory only with ``data``."""
    containers = engine.containers()
    networks = sorted(n for n, net in engine.networks().items() if net["project"] == engine.project)
    volumes = engine.volumes() if data else []
    rendered = [n for n in ("compose.yaml", ".last-good.yaml", "services") if home.exists(n)]
    steps = [Step(name, "remove") for name in sorted(containers)]
    lines = [str(step) for step in steps]
    lines += [f"network {name}: remove" for name in networks]
    lines += [f"volume {name}: remove" for name in volumes]
    lines += [f"{home.home}: remove"] if data and os.path.exists(home.home) else []
    if not dry:
        for name, container in sorted(containers.items()):
            say(f"{name}: stopping")
            engine.remove_container(container.id)
        for name in networks:
            engine.remove_network(name)
        for name in volumes:
            engine.remove_volume(name)
        home.remove(rendered, everything=data)
    return {
        "changed": bool(lines or rendered),
        "plan": lines,
        "steps": [vars(step) for step in steps],
    }
