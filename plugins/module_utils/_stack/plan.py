# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looks at one box and says what has to happen. Private to this collection.

Nothing here writes: check mode, the diff and the real run all use the one answer of ``Planner.plan``.
"""

from __future__ import annotations

import calendar
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._stack.engine import Engine
from ansible_collections.gpubox.llm.plugins.module_utils._stack.home import (
    StackHome,
    generate_secret,
)
from ansible_collections.gpubox.llm.plugins.module_utils._stack.service import (
    Container,
    DefinitionError,
    Network,
    Seen,
    Service,
    Site,
    Step,
    build_service,
    merge,
    network_name,
    plan_service,
)

__all__ = ["NEW_CONTAINER", "Plan", "Planner", "Request", "loaded_record"]

NEW_CONTAINER = ("create", "recreate")
# Shorter secrets occur in ordinary text by chance.
RECOGNISABLE_SECRET = 12


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
    networks: Mapping[str, Network]  # to create, by the engine's name
    stale_networks: Sequence[str]  # to remove first
    secrets: Mapping[str, str]  # by stored name
    new_secrets: Mapping[str, str]
    missing_images: Sequence[str]
    compose: Mapping[str, Any]  # definitions of every service known afterwards
    compose_networks: Mapping[str, Any]
    compose_text: str
    generations: Mapping[str, str]  # in use by reloadable services
    outdated: bool  # the compose file on the box is not what it should be

    @property
    def changed(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.lines() or self.new_secrets)

    def names(self, *actions: str) -> list[str]:
        """Services whose step is one of ``actions``."""
        return [step.service for step in self.steps if step.action in actions]

    def lines(self) -> list[str]:
        """The plan for people, one line a step."""
        renewed = set(self.stale_networks)
        lines = [
            f"network {name}: {'recreate' if name in renewed else 'create'}"
            for name in self.networks
        ]
        gone = [name for name in self.stale_networks if name not in self.networks]
        lines += [f"network {name}: remove" for name in gone]
        lines += [str(step) for step in self.steps if step.action != "none"]
        return lines or (["compose.yaml: write"] if self.outdated else [])


class Planner:
    """Compares what is wanted with one box."""

    def __init__(self, request: Request, home: StackHome, engine: Engine) -> None:
        self._request = request
        self._home = home
        self._engine = engine

    def plan(self) -> Plan:
        """What has to happen."""
        request, home = self._request, self._home
        stored: dict[str, str] = {}
        services = self._services(stored)
        before, containers = home.services(), self._engine.containers()
        noted = home.services("compose.yaml")
        compose: dict[str, Any] = {} if request.prune else noted
        compose.update({name: service.compose for name, service in services.items()})
        networks = self._networks(compose)
        create, stale = self._network_steps(networks)
        steps = [
            self._step(service, containers.get(name), before.get(name), stale)
            for name, service in services.items()
        ]
        if request.prune:
            gone = sorted({*before, *noted, *containers} - set(services))
            steps += [Step(name, "remove", ("no longer defined",)) for name in gone]
        compose_networks = _compose_networks(networks, compose)
        text = home.compose_text(compose, compose_networks, request.project)
        return Plan(
            services=services,
            containers=containers,
            before=before,
            steps=steps,
            networks=create,
            stale_networks=stale,
            secrets=stored,
            new_secrets={n: value for n, value in stored.items() if home.secret(n) != value},
            missing_images=self._missing_images(services),
            compose=compose,
            compose_networks=compose_networks,
            compose_text=text,
            generations={name: home.current(name) for name in services},
            outdated=any(home.read(file) != text for file in ("compose.yaml", ".last-good.yaml")),
        )

    def _services(self, stored: dict[str, str]) -> dict[str, Service]:
        request = self._request
        site = Site(self._home.home, request.project, self._home.key())
        services = {}
        for name, given in request.services.items():
            definition = merge(given, request.overrides.get(name) or {})
            external = [n for n, members in request.external_networks.items() if name in members]
            values = self._secret_values(name, definition, stored)
            services[name] = build_service(name, definition, site, values, external)
        _refuse_readable_secrets(services)
        return services

    def _secret_values(
        self, service: str, definition: Mapping[str, Any], stored: dict[str, str]
    ) -> dict[str, str]:
        """Values by file name; ``stored`` collects them by the name under which the box keeps them."""
        values = {}
        for file, source in (definition.get("secrets") or {}).items():
            own = file if file.startswith(service) else f"{service}_{file}"
            name = source.get("name") or own
            given = self._request.secrets.get(f"{service}/{file}")
            value = given or stored.get(name) or self._home.secret(name)
            if not value and source.get("generate") is not None:
                value = generate_secret(**source["generate"])
            if not value:
                raise DefinitionError(
                    f"service {service}: secret {file} has no value; set {source.get('variable')}"
                )
            values[file] = stored[name] = value
        return values

    def _missing_images(self, services: Mapping[str, Service]) -> list[str]:
        images = {service.image for service in services.values()}
        return sorted(image for image in images if not self._engine.image_id(image))

    def _step(
        self,
        service: Service,
        container: Container | None,
        before: Mapping[str, Any] | None,
        stale_networks: Sequence[str],
    ) -> Step:
        files, secrets = self._home.changed(service, before)
        rebuilt = service.image in self._request.rebuilt_images
        seen = Seen(
            container=container,
            image_id="to be rebuilt" if rebuilt else self._engine.image_id(service.image),
            before=before,
            changed_files=files,
            changed_secrets=secrets,
            loaded=self._loaded(service, container),
        )
        step = plan_service(service, seen)
        renewed = sorted(service.networks & set(stale_networks))
        if renewed and container is not None:
            kept = step.reasons if step.action == "recreate" else ()
            reasons = tuple(f"network {name} is recreated" for name in renewed)
            return Step(service.name, "recreate", (*kept, *reasons))
        return step

    def _loaded(self, service: Service, container: Container | None) -> bool:
        """Whether the running process started, or was reloaded, after the switch to its files."""
        since = self._home.current_since(service.name)
        if not service.reload or container is None or since is None:
            return True
        record = json.loads(self._home.read("services", service.name, "reloaded.json") or "{}")
        return _epoch(container.started_at) > since or record == loaded_record(service, container)

    def _networks(self, compose: Mapping[str, Any]) -> dict[str, Network]:
        """The stack's own networks that a service names."""
        request, found = self._request, {}
        for service, definition in compose.items():
            for name in definition.get("networks") or {}:
                if name in request.networks:
                    own = network_name(request.project, name)
                    found[name] = Network(own, request.networks[name] or {})
                elif name not in request.external_networks and service in request.services:
                    known = ", ".join(sorted([*request.networks, *request.external_networks]))
                    raise DefinitionError(
                        f"service {service}: network {name!r} is not defined; known are {known}"
                    )
        return found

    def _network_steps(self, wanted: Mapping[str, Network]) -> tuple[dict[str, Network], list[str]]:
        """Networks to create, by the engine's name, and those to remove first."""
        request, there = self._request, self._engine.networks()
        missing = [name for name in request.external_networks if name not in there]
        if missing and self._engine.available:
            raise DefinitionError(
                f"external network {missing[0]!r} does not exist on this box; create it, start the "
                "project that owns it, or remove it from stack_external_networks"
            )
        by_name = {network.name: network for network in wanted.values()}
        create = {
            name: network
            for name, network in by_name.items()
            # A partial run renews no network: services that it was not given are on it.
            if name not in there or (request.prune and there[name]["label"] != network.label)
        }
        ours = [name for name, network in there.items() if network["project"] == request.project]
        unused = [name for name in ours if name not in by_name] if request.prune else []
        return create, [name for name in create if name in there] + sorted(unused)

    def diff(self, plan: Plan) -> list[dict[str, str]]:
        """The plan as Ansible's diff: the steps, then every definition and file that changes."""
        found = [{"prepared": "".join(f"{line}\n" for line in plan.lines())}]
        for name in plan.names(*NEW_CONTAINER, "reload"):
            service, before = plan.services[name], plan.before.get(name)
            old = {"compose": self._home.dump(before) if before else ""}
            old.update(self._home.files_in_use(service, before))
            new = {"compose": self._home.dump(service.compose), **service.files}
            for path in sorted({*old, *new}):
                texts = {"before": old.get(path, ""), "after": new.get(path, "")}
                if texts["before"] != texts["after"]:
                    header = f"{name}/{path}"
                    found.append({"before_header": header, "after_header": header, **texts})
        return found


def _refuse_readable_secrets(services: Mapping[str, Service]) -> None:
    """A secret in a file or in the Compose definition would end in diffs and `docker inspect`."""
    secrets = {v for s in services.values() for v in s.secrets.values()}
    for service in services.values():
        text = json.dumps([service.compose, service.files], default=str)
        for value in secrets:
            if len(value) >= RECOGNISABLE_SECRET and json.dumps(value)[1:-1] in text:
                raise DefinitionError(
                    f"service {service.name}: the value of a secret stands in its definition or "
                    "files; hand it over as a secret and read it from /run/secrets"
                )


def _compose_networks(
    networks: Mapping[str, Network], compose: Mapping[str, Any]
) -> dict[str, Any]:
    """The compose file's networks: all of them exist already when Compose sees them."""
    used = {name for definition in compose.values() for name in definition.get("networks") or {}}
    return {
        name: {"external": True, "name": networks[name].name if name in networks else name}
        for name in sorted(used)
    }


def loaded_record(service: Service, container: Container) -> dict[str, str]:
    """What a reloaded process is remembered by."""
    return {
        "container": container.id,
        "started_at": container.started_at,
        "files": service.files_tag,
    }


def _epoch(timestamp: str) -> float:
    """Seconds of the epoch of an engine's time such as 2026-11-21T12:00:00.123456789Z."""
    whole, _unused, fraction = timestamp.rstrip("Z").partition(".")
    try:
        seconds = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return 0.0
    return seconds + float(f"0.{fraction or 0}")
