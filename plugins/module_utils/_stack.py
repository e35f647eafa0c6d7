# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a stack should be and how it differs from what it is: pure functions. Private to this collection.

A service definition comes in, a ``Service`` with its complete Compose definition comes out; ``plan_services`` compares
services with the containers that were observed and says ``create``, ``recreate``, ``reload``, ``start``, ``remove`` or
nothing for each, and why.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import re
from dataclasses import dataclass, field
from typing import Any, Iterable, Mapping, Optional

__all__ = [
    "LABEL_HASH",
    "LABEL_SERVICE",
    "Container",
    "DefinitionError",
    "Network",
    "Service",
    "Step",
    "build_service",
    "merge",
    "network_name",
    "parse_port",
    "parse_size",
    "plan_services",
    "tag",
]

LABEL_HASH = "gpubox.llm.hash"
LABEL_SERVICE = "gpubox.llm.service"
SECRETS_DIR = "/run/secrets"

# What every container gets unless its definition says otherwise (hardening: docs/guide/stack.md).
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
_DEFINITION_KEYS = {"compose", "files", "files_dir", "secrets", "reload", "validate"}
_FORBIDDEN = ("build", "container_name", "env_file", "secrets", "configs")


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


def _checked(name: str, definition: Mapping[str, Any]) -> Mapping[str, Any]:
    def refuse(what: str) -> None:
        raise DefinitionError(f"service {name}: {what}")

    if not _NAME.match(name):
        refuse("a service name has lower-case letters, digits, '-' and '_' only")
    unknown = sorted(set(definition) - _DEFINITION_KEYS)
    if unknown:
        refuse(f"unknown key {unknown[0]!r}; known are {', '.join(sorted(_DEFINITION_KEYS))}")
    compose = definition.get("compose") or {}
    if not compose.get("image"):
        refuse("compose.image is missing; name an image with a version tag")
    if not (compose.get("healthcheck") or {}).get("test"):
        refuse(
            "compose.healthcheck.test is missing; without a health check a crash loop counts as healthy. "
            "Give a command that fails when the service does not work"
        )
    if not _USER.match(str(compose.get("user", ""))):
        refuse(f"compose.user is {compose.get('user')!r}; give a numeric 'uid:gid', which owns its files and secrets")
    for key in _FORBIDDEN:
        if key in compose:
            refuse(f"compose.{key} cannot be used here; files and secrets are handed over beside compose")
    for path in definition.get("files") or {}:
        if not _RELATIVE.match(path):
            refuse(f"file name {path!r} must be relative and stay inside its directory")
    for file in definition.get("secrets") or {}:
        if not _RELATIVE.match(file) or "/" in file:
            refuse(f"secret file name {file!r} must be a plain name")
    return compose


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
    *,
    home: str,
    project: str,
    key: bytes,
    secrets: Mapping[str, str],
    external: Iterable[str] = (),
) -> Service:
    """The complete service. ``secrets`` maps secret file names to values, ``external`` names foreign networks to join."""
    compose = dict(merge(DEFAULTS, _checked(name, definition)))
    files = dict(definition.get("files") or {})
    files_dir = str(definition.get("files_dir") or f"/etc/{name}")
    reload = tuple(definition.get("reload") or ())
    files_tag, secrets_tag = tag(key, files), tag(key, dict(secrets))
    networks = _networks(compose)
    joined = {network_name(project, network) for network in networks} | set(external)
    for network in external:
        networks[network] = {"aliases": sorted({a for o in networks.values() for a in o.get("aliases", [])})}
    compose["networks"] = networks

    root = f"{home}/services/{name}"
    mounts = list(compose.get("volumes") or [])
    if files:
        # A reloadable service sees the directory of all generations, of which `current` names one.
        mounts.append(_bind(f"{root}/files" if reload else f"{root}/files/{files_tag}", files_dir))
    if secrets:
        mounts.append(_bind(f"{root}/secrets/{secrets_tag}", SECRETS_DIR))
    if mounts:
        compose["volumes"] = mounts

    label = tag(key, {"compose": compose, "files": None if reload else files_tag, "secrets": secrets_tag})
    compose["labels"] = {**dict(compose.get("labels") or {}), LABEL_HASH: label, LABEL_SERVICE: name}
    user = _USER.match(str(compose["user"]))
    assert user is not None  # _checked
    return Service(
        name=name,
        compose=compose,
        label=label,
        networks=frozenset(joined),
        uid=int(user[1]),
        gid=int(user[2]),
        files=files,
        files_tag=files_tag,
        files_dir=files_dir,
        secrets=dict(secrets),
        secrets_tag=secrets_tag,
        reload=reload,
        validate=tuple(definition.get("validate") or ()),
    )


def parse_size(value: Any) -> int:
    """Bytes of a Compose size such as ``512m``; 0 means no limit."""
    match = re.match(r"^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\s*$", str(value or 0).lower())
    if not match:
        raise DefinitionError(f"size {value!r} is not understood; write it like 512m or 2g")
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " "))


def parse_port(port: Any) -> Optional[tuple[str, int, str]]:
    """Address, host port and protocol that a Compose port entry publishes; None for one that names no host port."""
    if isinstance(port, Mapping):
        if not port.get("published"):
            return None
        return str(port.get("host_ip") or "0.0.0.0"), int(port["published"]), str(port.get("protocol") or "tcp")
    match = re.match(r"^(?:(?P<ip>[\d.]+|\[[0-9a-fA-F:]+\]):)?(?P<host>\d+):\d+(?:/(?P<proto>tcp|udp))?$", str(port))
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
        "restart": str(compose.get("restart") or "no").split(":")[0],
    }


def _drift(service: Service, container: Container, image_id: str) -> list[str]:
    """Why a container with the right label is nevertheless not what it should be."""
    reasons = []
    if image_id and container.image_id != image_id:
        reasons.append("image changed")
    missing, extra = service.networks - container.networks, container.networks - service.networks
    reasons += [f"not on network {name}" for name in sorted(missing)]
    reasons += [f"on network {name}" for name in sorted(extra)]
    binds = {m["source"] for m in service.compose.get("volumes") or [] if isinstance(m, Mapping) and m["type"] == "bind"}
    reasons += [f"{path} is not mounted" for path in sorted(binds - container.mounts)]
    if container.state == "running":
        wanted = _limits(service.compose)
        reasons += [f"{name} limit changed" for name in sorted(wanted) if wanted[name] != container.limits.get(name)]
    return reasons


def _changes(service: Service, before: Optional[Mapping[str, Any]]) -> list[str]:
    """Which parts of the definition changed since the last successful run."""
    if before is None:
        return []
    old, new = dict(before), dict(service.compose)
    parts = [key for key in sorted(set(old) | set(new)) if key not in ("labels", "volumes") and old.get(key) != new.get(key)]
    stable = [[m for m in d.get("volumes") or [] if f"/services/{service.name}/" not in str(m)] for d in (old, new)]
    if stable[0] != stable[1]:
        parts.append("volumes")
    return [f"{part} changed" for part in parts]


def plan_service(
    service: Service,
    container: Optional[Container],
    *,
    image_id: str,
    before: Optional[Mapping[str, Any]],
    changed_files: Iterable[str],
    changed_secrets: Iterable[str],
    loaded: bool,
) -> Step:
    """The step for one service.

    ``before`` is its Compose definition after the last successful run, ``changed_files`` and ``changed_secrets`` name
    what differs on disk, ``loaded`` says whether a reloadable service runs with the files it should.
    """
    files = [f"{name} changed" for name in changed_files]
    if container is None:
        return Step(service.name, "create")
    reasons = _drift(service, container, image_id)
    if container.label != service.label:
        about = _changes(service, before) + [f"secret {name} changed" for name in changed_secrets]
        about += [] if service.reload else files
        reasons = [*about, *reasons] or ["differs from its definition"]
    elif changed_secrets:
        reasons += [f"secret {name} was altered on disk" for name in changed_secrets]
    elif files and not service.reload:
        reasons += files
    if container.health == "unhealthy":
        reasons.append("unhealthy")
    if container.state in ("restarting", "paused", "dead", "removing"):
        reasons.append(container.state)
    if reasons:
        return Step(service.name, "recreate", tuple(reasons))
    if container.state != "running":
        return Step(service.name, "start", (container.state,))
    if service.reload and (files or not loaded):
        return Step(service.name, "reload", tuple(files) or ("the running one has older files",))
    return Step(service.name, "none")


def plan_services(steps: Iterable[Step], known: Iterable[str], wanted: Iterable[str], prune: bool) -> list[Step]:
    """All steps of the run: those of the wanted services, and on a whole run the removal of services no longer wanted."""
    gone = sorted(set(known) - set(wanted)) if prune else []
    return [*steps, *(Step(name, "remove", ("no longer defined",)) for name in gone)]
