# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run of the stack: look, plan, and make it so. Private to this collection.

``Run.plan`` only reads; check mode, the diff and the real run all use its answer. ``Run.apply`` writes in an order in
which a run that is killed at any point is completed by the next one: generations, the compose file, networks,
containers, reloads, and last of all the copy that says "this worked".
"""

from __future__ import annotations

import calendar
import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Mapping, Optional, Sequence

from ansible_collections.gpubox.llm.plugins.module_utils._compose import ComposeError, Engine
from ansible_collections.gpubox.llm.plugins.module_utils._preflight import preflight
from ansible_collections.gpubox.llm.plugins.module_utils._stack import (
    SECRETS_DIR,
    Container,
    DefinitionError,
    Network,
    Service,
    Step,
    build_service,
    merge,
    network_name,
    plan_service,
    plan_services,
)
from ansible_collections.gpubox.llm.plugins.module_utils._stack_home import StackHome, generate_secret, write_tree

__all__ = ["Plan", "Request", "Run", "StackError", "take_down"]

NEW_CONTAINER = ("create", "recreate")
RELOAD_CHECKS = 5


class StackError(RuntimeError):
    """The stack could not be made so; the message says what is left on the box."""


@dataclass(frozen=True)
class Request:
    """What the caller wants; see the options of the module ``stack``."""

    project: str
    services: Mapping[str, Any]
    overrides: Mapping[str, Any]
    networks: Mapping[str, Any]
    external_networks: Mapping[str, Sequence[str]]
    secrets: Mapping[str, str]
    prune: bool
    wait_seconds: int
    rebuilt_images: Sequence[str]
    min_free_bytes: int


@dataclass(frozen=True)
class Plan:
    """The whole answer: what is wanted, what is there, and the steps from one to the other."""

    services: Mapping[str, Service]
    containers: Mapping[str, Container]
    before: Mapping[str, Any]  # Compose definitions after the last successful run
    steps: Sequence[Step]
    networks: Mapping[str, Network]  # missing or different
    stale_networks: Sequence[str]  # present but different, or no longer used
    new_secrets: Mapping[str, str]  # by stored name
    secret_names: Sequence[str] = ()
    missing_images: Sequence[str] = ()
    compose: Mapping[str, Any] = field(default_factory=dict)  # of every service known afterwards
    network_options: Mapping[str, Any] = field(default_factory=dict)
    switched: Mapping[str, str] = field(default_factory=dict)  # generation in use of reloadable services
    outdated: bool = False  # the compose file is not what it should be

    @property
    def changed(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.lines() or self.new_secrets)

    def names(self, *actions: str) -> list[str]:
        """Services whose step is one of ``actions``."""
        return [step.service for step in self.steps if step.action in actions]

    def lines(self) -> list[str]:
        """The plan for people, one line a step."""
        lines = [f"network {name}: {'recreate' if name in self.stale_networks else 'create'}" for name in self.networks]
        lines += [f"network {name}: remove" for name in self.stale_networks if name not in self.networks]
        lines += [str(step) for step in self.steps if step.action != "none"]
        return lines or (["compose.yaml: write"] if self.outdated else [])


class Run:
    """Looks at one box and plans; ``apply`` carries the plan out."""

    def __init__(self, request: Request, home: StackHome, engine: Engine, say: Callable[[str], None]) -> None:
        self._request = request
        self._home = home
        self._engine = engine
        self._say = say

    # -- looking and planning --------------------------------------------------------------------------------

    def plan(self) -> Plan:
        """What has to happen. Reads the box and writes nothing."""
        request, home = self._request, self._home
        before = home.services()
        definitions = {name: merge(d, request.overrides.get(name) or {}) for name, d in request.services.items()}
        key, stored = home.key(), {}
        services = {}
        for name, definition in definitions.items():
            values = self._secret_values(name, definition, stored)
            external = [net for net, members in request.external_networks.items() if name in members]
            services[name] = build_service(
                name, definition, home=home.home, project=request.project, key=key, secrets=values, external=external
            )
        containers = self._engine.containers()
        compose = {
            **({} if request.prune else home.services("compose.yaml")),
            **{name: service.compose for name, service in services.items()},
        }
        network_options = self._network_options(compose)
        wanted, stale = self._network_steps(network_options)
        steps = [
            self._step(service, containers.get(name), before.get(name), home.changed(service, before.get(name)), stale)
            for name, service in services.items()
        ]
        known = {*before, *containers, *home.services("compose.yaml")}
        images = {service.image for service in services.values()}
        text = home.compose_text(compose, _external(network_options, compose), request.project)
        return Plan(
            services=services,
            containers=containers,
            before=before,
            steps=plan_services(steps, known, services, request.prune),
            networks=wanted,
            stale_networks=stale,
            new_secrets={name: value for name, value in stored.items() if home.secret(name) != value},
            secret_names=sorted(stored),
            missing_images=sorted(image for image in images if not self._engine.image_id(image)),
            compose=compose,
            network_options=network_options,
            switched={name: home.current(name) for name in services},
            outdated=any(home.read(file) != text for file in ("compose.yaml", ".last-good.yaml")),
        )

    def _secret_values(self, service: str, definition: Mapping[str, Any], stored: dict[str, str]) -> dict[str, str]:
        """Values by file name; ``stored`` collects them by the name under which the box keeps them."""
        values = {}
        for file, source in (definition.get("secrets") or {}).items():
            name = source.get("name") or (file if file.startswith(service) else f"{service}_{file}")
            value = self._request.secrets.get(f"{service}/{file}") or stored.get(name) or self._home.secret(name)
            if not value and source.get("generate") is not None:
                value = generate_secret(**source["generate"])
            if not value:
                raise DefinitionError(f"service {service}: secret {file} has no value; set {source.get('variable')}")
            values[file] = stored[name] = value
        return values

    def _step(
        self,
        service: Service,
        container: Optional[Container],
        before: Optional[Mapping[str, Any]],
        changed: tuple[list[str], list[str]],
        stale_networks: Sequence[str],
    ) -> Step:
        rebuilt = service.image in self._request.rebuilt_images
        image_id = "to be rebuilt" if rebuilt else self._engine.image_id(service.image)
        step = plan_service(
            service,
            container,
            image_id=image_id,
            before=before,
            changed_files=changed[0],
            changed_secrets=changed[1],
            loaded=self._loaded(service, container),
        )
        renewed = sorted(service.networks & set(stale_networks))
        if renewed and container is not None:
            reasons = tuple(f"network {name} is recreated" for name in renewed)
            return Step(service.name, "recreate", (*(step.reasons if step.action == "recreate" else ()), *reasons))
        return step

    def _loaded(self, service: Service, container: Optional[Container]) -> bool:
        """Whether the running process read the generation in use: it started, or was reloaded, after the switch."""
        since = self._home.current_since(service.name)
        if not service.reload or container is None or since is None:
            return True
        record = json.loads(self._home.read("services", service.name, "reloaded.json") or "{}")
        return _epoch(container.started_at) > since or record == _loaded_record(service, container)

    def _network_options(self, compose: Mapping[str, Any]) -> dict[str, Network]:
        request = self._request
        options = {}
        for service, definition in compose.items():
            for name in definition.get("networks") or {}:
                if name in request.external_networks or (name not in request.networks and service not in request.services):
                    continue
                if name not in request.networks:
                    known = ", ".join(sorted([*request.networks, *request.external_networks]))
                    raise DefinitionError(f"service {service}: network {name!r} is not defined; known are {known}")
                options[name] = Network(network_name(request.project, name), request.networks[name] or {})
        return options

    def _network_steps(self, wanted: Mapping[str, Network]) -> tuple[dict[str, Network], list[str]]:
        """Networks to create, by the engine's name, and those to remove first."""
        request, there = self._request, self._engine.networks()
        missing = [name for name in request.external_networks if self._engine.available and name not in there]
        if missing:
            raise DefinitionError(
                f"external network {missing[0]!r} does not exist on this box; "
                "create it, start the project that owns it, or remove it from stack_external_networks"
            )
        by_name = {network.name: network for network in wanted.values()}
        create = {
            name: network
            for name, network in by_name.items()
            # A partial run does not renew a network: services that it was not given are on it.
            if name not in there or (request.prune and there[name]["label"] != network.label)
        }
        ours = [name for name, network in there.items() if network["project"] == request.project]
        unused = [name for name in ours if name not in by_name] if request.prune else []
        return create, [name for name in create if name in there] + sorted(unused)

    def diff(self, plan: Plan) -> list[dict[str, str]]:
        """The plan as Ansible's diff: the steps, then every definition and file that changes. No secret is in either."""
        found = [{"prepared": "".join(f"{line}\n" for line in plan.lines())}]
        for name in plan.names(*NEW_CONTAINER, "reload"):
            service, before = plan.services[name], plan.before.get(name)
            old = {f"{name}/compose": self._home.dump(before) if before else ""}
            new = {f"{name}/compose": self._home.dump(service.compose)}
            old.update({f"{name}/{path}": text for path, text in self._home.files_in_use(service, before).items()})
            new.update({f"{name}/{path}": text for path, text in service.files.items()})
            found += [
                {"before_header": path, "after_header": path, "before": old.get(path, ""), "after": new.get(path, "")}
                for path in sorted({*old, *new})
                if old.get(path, "") != new.get(path, "")
            ]
        return found

    # -- making it so ----------------------------------------------------------------------------------------

    def check(self, plan: Plan) -> None:
        """Everything that can refuse the plan before the first change."""
        preflight(plan.services, plan.containers, plan.names(*NEW_CONTAINER), plan.networks, self._engine)
        self._check_space()
        if self._engine.available and plan.names(*NEW_CONTAINER):
            self._engine.check(self._compose_text(plan))

    def check_files(self, plan: Plan) -> None:
        """Let services check their new files themselves, in throw-away containers."""
        for name in plan.names(*NEW_CONTAINER, "reload"):
            service = plan.services[name]
            if service.validate and self._engine.image_id(service.image):
                self._say(f"{name}: checking its configuration")
                self._validate(service)

    def _validate(self, service: Service) -> None:
        scratch = tempfile.mkdtemp(prefix="gpubox-")
        try:
            mounts = {}
            if service.files:
                inside = f"{scratch}/files/{service.files_tag}" if service.reload else f"{scratch}/files"
                write_tree(inside, service.files, service.uid, service.gid)
                mounts[service.files_dir] = f"{scratch}/files"
                if service.reload:
                    StackHome.link(f"{scratch}/files", service.files_tag)
            if service.secrets:
                write_tree(f"{scratch}/secrets", service.secrets, service.uid, service.gid)
                mounts[SECRETS_DIR] = f"{scratch}/secrets"
            code, output = self._engine.validate(service, mounts)
        finally:
            shutil.rmtree(scratch)
        if code != 0:
            raise StackError(f"{service.name} refuses its new configuration; nothing was changed.\n{output[-3000:]}")

    def _check_space(self) -> None:
        for path in (self._home.existing_parent(), self._engine.root_dir() if self._engine.available else "/"):
            free = shutil.disk_usage(path).free
            if free < self._request.min_free_bytes:
                raise StackError(
                    f"only {free / 1e6:.0f} MB are free under {path}; stack_min_free_bytes asks for "
                    f"{self._request.min_free_bytes / 1e6:.0f} MB. Free some space (docker system df shows what images take)"
                )

    def _compose_text(self, plan: Plan) -> str:
        return self._home.compose_text(plan.compose, _external(plan.network_options, plan.compose), self._request.project)

    def pull(self, plan: Plan) -> None:
        """Pull what is not there."""
        for image in plan.missing_images:
            self._say(f"{image}: pulling")
            self._engine.pull(image, self._say)

    def write(self, plan: Plan) -> None:
        """Files, secrets and the compose file. A reloadable service keeps its generation in use until it reloads."""
        home = self._home
        for name, value in plan.new_secrets.items():
            home.write_secret(name, value)
        for service in plan.services.values():
            home.write_generations(service)
        home.write_compose(plan.compose, _external(plan.network_options, plan.compose), self._request.project)

    def apply(self, plan: Plan, keep: Sequence[int]) -> None:
        """Carry the plan out. ``keep`` are descriptors that children must hold (the lock)."""
        for name in plan.names("remove"):
            self._say(f"{name}: removing")
            if name in plan.containers:
                self._engine.remove_container(plan.containers[name].id)
        self._renew_networks(plan)
        try:
            for name in plan.names(*NEW_CONTAINER):
                if plan.services[name].reload and plan.services[name].files:
                    self._home.switch(name, plan.services[name].files_tag)
            self._up(plan, plan.names("start"), recreate=False, keep=keep)
            self._up(plan, plan.names(*NEW_CONTAINER), recreate=True, keep=keep)
            for name in plan.names("reload"):
                self._reload(plan.services[name], plan.containers[name])
        except (ComposeError, StackError) as error:
            why = self._why(plan, error)
            raise StackError(f"{why}\n{self._roll_back(plan, keep)}") from error
        self._home.write_compose(
            plan.compose, _external(plan.network_options, plan.compose), self._request.project, last_good=True
        )
        self._home.clean(_generations(plan.compose, plan.before, plan.services))

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

    def _up(self, plan: Plan, names: Sequence[str], *, recreate: bool, keep: Sequence[int]) -> None:
        if not names:
            return
        for step in plan.steps:
            if step.service in names:
                self._say(str(step))
        self._engine.up(
            names, recreate=recreate, wait_seconds=self._request.wait_seconds, keep=keep, tick=self._ticker(names)
        )

    def _ticker(self, names: Sequence[str]) -> Callable[[], None]:
        """Says every few seconds which services are not healthy yet."""
        told = [time.monotonic()]

        def tick() -> None:
            if time.monotonic() - told[0] < 4:
                return
            told[0] = time.monotonic()
            containers = self._engine.containers()
            waiting = [
                f"{name} ({containers[name].health or containers[name].state})" if name in containers else name
                for name in names
                if name not in containers or containers[name].health != "healthy"
            ]
            if waiting:
                self._say(f"waiting for {', '.join(waiting)}")

        return tick

    def _reload(self, service: Service, container: Container) -> None:
        self._say(f"{service.name}: reload")
        self._home.switch(service.name, service.files_tag)
        code, output = self._engine.execute(container.id, service.reload)
        if code != 0:
            raise StackError(f"{service.name}: {' '.join(service.reload)} failed with exit code {code}.\n{output}")
        self._home.write(f"services/{service.name}/reloaded.json", json.dumps(_loaded_record(service, container)))
        test = service.compose["healthcheck"]["test"]
        command = ["sh", "-c", test] if isinstance(test, str) else (["sh", "-c", test[1]] if test[0] == "CMD-SHELL" else test[1:])
        for _attempt in range(RELOAD_CHECKS):
            code, output = self._engine.execute(container.id, command)
            if code == 0:
                return
            time.sleep(1)
        raise StackError(f"{service.name} is not healthy after its reload.\n{output}")

    def _why(self, plan: Plan, error: Exception) -> str:
        lines = [str(error)]
        containers = self._engine.containers()
        tried = plan.names(*NEW_CONTAINER, "start")
        bad = [n for n in tried if n not in containers or containers[n].state != "running" or containers[n].health != "healthy"]
        for name in bad:
            if name in containers:
                lines.append(f"service {name}: {self._engine.why(containers[name].id)}")
        if isinstance(error, ComposeError) and error.output:
            lines.append(f"docker compose said:\n{error.output}")
        return "\n".join(lines)

    def _roll_back(self, plan: Plan, keep: Sequence[int]) -> str:
        """Bring the previous generation of every touched service back; says what was done."""
        touched = plan.names(*NEW_CONTAINER, "reload")
        old = {name: dict(plan.before[name]) for name in touched if name in plan.before}
        for name, definition in old.items():
            container = plan.containers.get(name)
            if container and container.image_id != self._engine.image_id(definition["image"]):
                definition["image"] = container.image_id  # the tag has moved on
        if not old:
            return "There is no earlier generation to go back to; the failed containers were left for `docker compose logs`."
        self._say(f"going back to the previous generation of {', '.join(old)}")
        networks = {**_external(plan.network_options, plan.compose), **self._home.network_options()}
        self._home.write_compose({**plan.compose, **old}, networks, self._request.project)
        for name in old:
            service = plan.services[name]
            if service.reload and plan.switched.get(name):
                self._home.switch(name, plan.switched[name])
        for name in plan.names("reload"):
            self._engine.execute(plan.containers[name].id, plan.services[name].reload)
        recreated = [name for name in old if name in plan.names(*NEW_CONTAINER)]
        try:
            if recreated:
                self._engine.up(
                    recreated, recreate=True, wait_seconds=self._request.wait_seconds, keep=keep, tick=self._ticker(recreated)
                )
        except ComposeError as error:
            return f"Going back to the previous generation failed too: {error.output}"
        return f"The previous generation of {', '.join(sorted(old))} is running again."


def take_down(home: StackHome, engine: Engine, data: bool, dry: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Remove the project's containers, networks and rendered files; volumes, secrets and the directory only with ``data``."""
    containers = engine.containers()
    networks = sorted(name for name, network in engine.networks().items() if network["project"] == engine.project)
    volumes = engine.volumes() if data else []
    rendered = [name for name in ("compose.yaml", ".last-good.yaml", "services") if os.path.exists(home.path(name))]
    steps = [Step(name, "remove") for name in sorted(containers)]
    lines = [str(step) for step in steps] + [f"{kind} {name}: remove" for kind, names in (("network", networks), ("volume", volumes)) for name in names]
    lines += [f"{home.path()}: remove" for _unused in [1] if data and os.path.exists(home.home)]
    result = {"changed": bool(lines or rendered), "plan": lines, "steps": [{"service": s.service, "action": s.action, "reasons": []} for s in steps]}
    if dry:
        return result
    for name, container in sorted(containers.items()):
        say(f"{name}: stopping")
        engine.remove_container(container.id)
    for name in networks:
        engine.remove_network(name)
    for name in volumes:
        engine.remove_volume(name)
    home.remove(rendered, everything=data)
    return result


def _external(networks: Mapping[str, Network], compose: Mapping[str, Any]) -> dict[str, Any]:
    """The compose file's networks: all of them exist already when Compose sees them."""
    used = {name for definition in compose.values() for name in definition.get("networks") or {}}
    return {
        name: {"external": True, "name": networks[name].name if name in networks else name} for name in sorted(used)
    }


def _generations(*compositions: Any) -> dict[str, set[str]]:
    """Names of the generations that any of the definitions uses, by service."""
    keep: dict[str, set[str]] = {}
    for composition in compositions:
        for name, definition in composition.items():
            names = keep.setdefault(name, set())
            if isinstance(definition, Service):
                names |= {definition.files_tag, definition.secrets_tag}
                continue
            for mount in definition.get("volumes") or []:
                if isinstance(mount, Mapping):
                    names.add(str(mount.get("source", "")).rsplit("/", 1)[-1])
    return keep


def _loaded_record(service: Service, container: Container) -> dict[str, str]:
    return {"container": container.id, "started_at": container.started_at, "files": service.files_tag}


def _epoch(timestamp: str) -> float:
    """Seconds of the epoch of an engine's time such as 2026-11-21T12:00:00.123456789Z."""
    whole, _unused, fraction = timestamp.rstrip("Z").partition(".")
    try:
        return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(f"0.{fraction or 0}")
    except ValueError:
        return 0.0
