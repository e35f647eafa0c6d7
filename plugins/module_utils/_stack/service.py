# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a service should be and how it differs from what it is: pure. Private to this collection.

A definition comes in, a ``Service`` with its complete Compose definition comes out; ``plan_service``
compares it with what was seen and says ``create``, ``recreate``, ``reload``, ``start`` or ``none``,
and why.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "DEFINITION_KEYS",
    "LABEL_HASH",
    "LABEL_SERVICE",
    "Container",
    "DefinitionError",
    "Network",
    "Seen",
    "Service",
    "Site",
    "Step",
    "build_service",
    "merge",
    "named_volumes",
    "network_name",
    "parse_port",
    "parse_size",
    "tag",
]

LABEL_HASH = "gpubox.llm.hash"
LABEL_SERVICE = "gpubox.llm.service"
SECRETS_DIR = "/run/secrets"

# What every container gets unless its definition says otherwise (hardening: docs/services.md).
DEFAULTS: Mapping[str, Any] = {
    "restart": "unless-stopped",
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "pids_limit": 256,
    "mem_limit": "512m",
    "logging": {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}},
}
_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]*$")
_USER = re.compile(r"^(\d+):(\d+)$")
_RELATIVE = re.compile(r"^(?!/)(?!.*(^|/)\.\.?(/|$))[^\0]+$")
DEFINITION_KEYS = ("compose", "files", "files_dir", "secrets", "reload", "validate")
_FORBIDDEN = {"build", "container_name", "env_file", "secrets", "configs"}


class DefinitionError(ValueError):
    """A definition that cannot be used; the message names the service, the value, the reason and the cure."""


@dataclass(frozen=True)
class Service:
    """One service as it should be."""

    name: str
    compose: Mapping[str, Any]  # complete: labels, mounts and networks included
    label: str
    networks: frozenset[str]  # as the engine names them
    uid: int
    gid: int
    files: Mapping[str, str] = field(default_factory=dict)
    files_tag: str = ""
    files_dir: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict)  # file name -> value
    secrets_tag: str = ""
    reload: tuple[str, ...] = ()
    validate: tuple[str, ...] = ()

    @property
    def image(self) -> str:
        """The image reference."""
        return str(self.compose["image"])


@dataclass(frozen=True)
class Container:
    """One container of the project as the engine reports it."""

    id: str
    service: str
    state: str
    health: str
    label: str
    image_id: str
    networks: frozenset[str]
    mounts: frozenset[str]
    started_at: str
    limits: Mapping[str, Any]


@dataclass(frozen=True)
class Network:
    """One network as it should be; ``options`` is what the engine is asked to create."""

    name: str
    options: Mapping[str, Any]

    @property
    def label(self) -> str:
        """Identifies the options; they hold no secret, so a plain hash will do."""
        return hashlib.sha256(_canonical(self.options)).hexdigest()[:16]


@dataclass(frozen=True)
class Site:
    """What all services of one box share: the directory, the project's name, the key of its hashes."""

    home: str
    project: str
    key: bytes


@dataclass(frozen=True)
class Seen:
    """What was found of one service.

    ``before`` is its Compose definition after the last successful run, ``changed_files`` and
    ``changed_secrets`` name what differs on disk, ``loaded`` says whether a reloadable service runs
    with the files that it should.
    """

    container: Container | None
    image_id: str
    before: Mapping[str, Any] | None
    changed_files: Sequence[str]
    changed_secrets: Sequence[str]
    loaded: bool


@dataclass(frozen=True)
class Step:
    """What happens to one service."""

    service: str
    action: str  # create | recreate | reload | start | remove | none
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        because = f" ({', '.join(self.reasons)})" if self.reasons else ""
        return f"{self.service}: {self.action}{because}"


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode()


def tag(key: bytes, value: Any) -> str:
    """A short keyed hash: stable on one box, useless for guessing a secret without the box's key."""
    return hmac.new(key, _canonical(value), hashlib.sha256).hexdigest()[:16]


def merge(base: Any, override: Any) -> Any:
    """``override`` over ``base``: mappings merge, everything else replaces, ``None`` removes the key."""
    if not isinstance(base, Mapping) or not isinstance(override, Mapping):
        return override
    merged = {key: value for key, value in base.items() if key not in override}
    for key, value in override.items():
        if value is not None:
            merged[key] = merge(base.get(key), value) if key in base else value
    return merged


def network_name(project: str, network: str) -> str:
    """The engine's name of one of the stack's own networks."""
    return f"{project}_{network}"


def _faults(name: str, definition: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a definition, and what to do about it."""
    if not _NAME.match(name):
        yield "a service name has lower-case letters, digits, '-' and '_' only"
    for key in sorted(set(definition) - set(DEFINITION_KEYS)):
        yield f"unknown key {key!r}; known are {', '.join(DEFINITION_KEYS)}"
    for path in [*(definition.get("files") or {}), *(definition.get("secrets") or {})]:
        if not _RELATIVE.match(path):
            yield f"file name {path!r} must be relative and stay inside its directory"
    yield from _compose_faults(definition.get("compose") or {})


def _compose_faults(compose: Mapping[str, Any]) -> Iterator[str]:
    if not compose.get("image"):
        yield "compose.image is missing; name an image with a version tag"
    if not (compose.get("healthcheck") or {}).get("test"):
        yield (
            "compose.healthcheck.test is missing; without a health check a crash loop counts as "
            "healthy. Give a command that fails when the service does not work"
        )
    if not _USER.match(str(compose.get("user", ""))):
        yield (
            f"compose.user is {compose.get('user')!r}; give a numeric 'uid:gid', "
            "which owns its files and secrets"
        )
    for key in sorted(set(compose) & _FORBIDDEN):
        yield f"compose.{key} cannot be used; files and secrets are handed over beside compose"


def _bind(source: str, target: str) -> dict[str, Any]:
    return {"type": "bind", "source": source, "target": target, "read_only": True}


def _networks(compose: Mapping[str, Any]) -> dict[str, Any]:
    wanted = compose.get("networks") or []
    if isinstance(wanted, Mapping):
        return {name: options or {} for name, options in wanted.items()}
    return {name: {} for name in wanted}


def build_service(
    name: str,
    definition: Mapping[str, Any],
    site: Site,
    secrets: Mapping[str, str],
    external: Iterable[str] = (),
) -> Service:
    """The complete service. ``secrets``: values by file name; ``external``: foreign networks to join."""
    fault = next(_faults(name, definition), None)
    if fault:
        raise DefinitionError(f"service {name}: {fault}")
    compose = dict(merge(DEFAULTS, definition["compose"]))
    files = dict(definition.get("files") or {})
    files_dir = str(definition.get("files_dir") or f"/etc/{name}")
    reload = tuple(definition.get("reload") or ())
    files_tag, secrets_tag = tag(site.key, files), tag(site.key, dict(secrets))

    networks = _networks(compose)
    joined = {network_name(site.project, network) for network in networks} | set(external)
    aliases = sorted(
        {alias for options in networks.values() for alias in options.get("aliases", [])}
    )
    compose["networks"] = {**networks, **{network: {"aliases": aliases} for network in external}}

    root = f"{site.home}/services/{name}"
    mounts = list(compose.get("volumes") or [])
    if files:
        # A reloadable service sees the directory of all generations, of which `current` names one.
        mounts.append(_bind(f"{root}/files" + ("" if reload else f"/{files_tag}"), files_dir))
    if secrets:
        mounts.append(_bind(f"{root}/secrets/{secrets_tag}", SECRETS_DIR))
    if mounts:
        compose["volumes"] = mounts

    seen_at_start = {
        "compose": compose,
        "files": None if reload else files_tag,
        "secrets": secrets_tag,
    }
    label = tag(site.key, seen_at_start)
    labels = dict(compose.get("labels") or {})
    compose["labels"] = {**labels, LABEL_HASH: label, LABEL_SERVICE: name}
    uid, _unused, gid = str(compose["user"]).partition(":")
    return Service(
        name=name,
        compose=compose,
        label=label,
        networks=frozenset(joined),
        uid=int(uid),
        gid=int(gid),
        files=files,
        files_tag=files_tag,
        files_dir=files_dir,
        secrets=dict(secrets),
        secrets_tag=secrets_tag,
        reload=reload,
        validate=tuple(definition.get("validate") or ()),
    )


def named_volumes(compose: Mapping[str, Any]) -> dict[str, str]:
    """Where the service mounts which of the project's volumes: path by name."""
    found = {}
    for mount in compose.get("volumes") or []:
        if isinstance(mount, Mapping):
            kind, source, target = (mount.get(key) for key in ("type", "source", "target"))
        else:
            source, _unused, rest = str(mount).partition(":")
            kind, target = "volume", rest.partition(":")[0]
        if kind == "volume" and source and target and not source.startswith(("/", ".", "~")):
            found[source] = target
    return found


def parse_size(value: Any) -> int:
    """Bytes of a Compose size such as ``512m``; 0 means no limit."""
    match = re.match(r"^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\s*$", str(value or 0).lower())
    if not match:
        raise DefinitionError(f"size {value!r} is not understood; write it like 512m or 2g")
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " "))


def parse_port(port: Any) -> tuple[str, int, str] | None:
    """Address, host port and protocol that a Compose port entry publishes; None for one that names no host port."""
    if isinstance(port, Mapping):
        if not port.get("published"):
            return None
        return (
            str(port.get("host_ip") or "0.0.0.0"),
            int(port["published"]),
            str(port.get("protocol") or "tcp"),
        )
    match = re.match(
        r"^(?:(?P<ip>[\d.]+|\[[0-9a-fA-F:]+\]):)?(?P<host>\d+):\d+(?:/(?P<proto>tcp|udp))?$",
        str(port),
    )
    if not match:
        return None
    ip = (match["ip"] or "0.0.0.0").strip("[]")
    return str(ipaddress.ip_address(ip)), int(match["host"]), match["proto"] or "tcp"


def _limits(compose: Mapping[str, Any]) -> dict[str, Any]:
    """The limits that `docker update` can change behind Compose's back."""
    return {
        "memory": parse_size(compose.get("mem_limit")),
        "pids": int(compose.get("pids_limit") or 0),
        "cpus": round(float(compose.get("cpus") or 0), 3),
        "restart": str(compose.get("restart") or "no").split(":", maxsplit=1)[0],
    }


def _drift(service: Service, container: Container, image_id: str) -> list[str]:
    """Why a container with the right label is nevertheless not what it should be."""
    reasons = []
    if image_id and container.image_id != image_id:
        reasons.append("image changed")
    missing, extra = service.networks - container.networks, container.networks - service.networks
    reasons += [f"not on network {name}" for name in sorted(missing)]
    reasons += [f"on network {name}" for name in sorted(extra)]
    binds = {
        m["source"]
        for m in service.compose.get("volumes") or []
        if isinstance(m, Mapping) and m["type"] == "bind"
    }
    reasons += [f"{path} is not mounted" for path in sorted(binds - container.mounts)]
    if container.state == "running":
        wanted = _limits(service.compose)
        reasons += [
            f"{name} limit changed"
            for name in sorted(wanted)
            if wanted[name] != container.limits.get(name)
        ]
    return reasons


def _changes(service: Service, before: Mapping[str, Any] | None) -> list[str]:
    """Which parts of the definition changed since the last successful run."""
    if before is None:
        return []
    old, new = dict(before), dict(service.compose)
    parts = [
        key
        for key in sorted(set(old) | set(new))
        if key not in ("labels", "volumes") and old.get(key) != new.get(key)
    ]
    stable = [
        [m for m in d.get("volumes") or [] if f"/services/{service.name}/" not in str(m)]
        for d in (old, new)
    ]
    if stable[0] != stable[1]:
        parts.append("volumes")
    return [f"{part} changed" for part in parts]


def plan_service(service: Service, seen: Seen) -> Step:
    """The step for one service."""
    container = seen.container
    if container is None:
        return Step(service.name, "create")
    reasons = _recreate_reasons(service, container, seen)
    if reasons:
        return Step(service.name, "recreate", tuple(reasons))
    if container.state != "running":
        return Step(service.name, "start", (container.state,))
    files = tuple(f"{name} changed" for name in seen.changed_files)
    if service.reload and (files or not seen.loaded):
        return Step(service.name, "reload", files or ("the running one has older files",))
    return Step(service.name, "none")


def _recreate_reasons(service: Service, container: Container, seen: Seen) -> list[str]:
    files = [] if service.reload else [f"{name} changed" for name in seen.changed_files]
    reasons = _drift(service, container, seen.image_id)
    if container.label != service.label:
        secrets = [f"secret {name} changed" for name in seen.changed_secrets]
        about = [*_changes(service, seen.before), *secrets, *files]
        reasons = about or reasons or ["differs from its definition"]
    else:
        reasons += [f"secret {name} was altered on disk" for name in seen.changed_secrets]
        reasons += files
    if (container.state, container.health) == ("running", "unhealthy"):
        reasons.append("unhealthy")
    if container.state in ("restarting", "paused", "dead", "removing"):
        reasons.append(container.state)
    return reasons
