# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Docker's daemon.json should say and what the engine must do about it. Pure; private to this collection."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = [
    "HostError",
    "Loaded",
    "check",
    "decide",
    "flags",
    "merge",
    "observed",
    "parse",
    "render",
    "version_tuple",
]

# What a running engine takes over on SIGHUP (daemon.Reload); everything else needs a restart.
RELOADABLE = frozenset(
    {
        "authorization-plugins",
        "debug",
        "default-runtime",
        "features",
        "insecure-registries",
        "labels",
        "live-restore",
        "max-concurrent-downloads",
        "max-concurrent-uploads",
        "max-download-attempts",
        "registry-mirrors",
        "runtimes",
        "shutdown-timeout",
    }
)


class HostError(Exception):
    """Says in one sentence what is wrong and what cures it."""


class Loaded(NamedTuple):
    """What the running engine has read: ``config`` if that is certain, and what it shows of itself."""

    config: Mapping[str, Any] | None
    shown: Mapping[str, Any]


def version_tuple(text: str | None) -> tuple[int, ...]:
    """Return the leading numbers of a version: ``26.1.5+dfsg1`` is ``(26, 1, 5)``."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", text or "")
    return tuple(int(part) for part in found.group(1).split(".")) if found else ()


def parse(text: str | None, path: str) -> dict[str, Any]:
    """Read daemon.json; a missing or empty file is an empty object, as it is for dockerd."""
    if text is None or not text.strip():
        return {}
    try:
        value = json.loads(text)
    except ValueError as error:
        comment = re.search(r"^\s*(#|//|/\*)", text, re.MULTILINE)
        why = (
            "JSON knows no comments, and it has one"
            if comment
            else f"it is no valid JSON ({error})"
        )
        raise HostError(
            f"{path} cannot be merged: {why}. dockerd would not start with it either: correct the file and run again."
        ) from None
    if not isinstance(value, dict):
        raise HostError(
            f"{path} cannot be merged: it holds a {type(value).__name__}, not an object."
        )
    return value


def render(config: Mapping[str, Any]) -> str:
    """Write daemon.json the way a person would."""
    return json.dumps(config, indent=2) + "\n" if config else "{}\n"


def merge(
    current: Mapping[str, Any], wanted: Mapping[str, Any], last: Mapping[str, Any]
) -> dict[str, Any]:
    """Merge ``wanted`` into ``current``; what ``last`` had put there and ``wanted`` no longer has goes away.

    Keys of other people stay, also inside objects and lists of texts. A key whose value somebody changed after us is
    no longer ours to remove.
    """
    result = dict(current)
    for key in [*last, *(key for key in wanted if key not in last)]:
        if key == "log-opts" and _driver(wanted) != _driver(current):
            result.pop(key, None)  # options of one log driver are refused by another
        value = _merge_value(result.get(key), wanted.get(key), last.get(key))
        if value is None:
            result.pop(key, None)
        else:
            result[key] = value
    return result


def _driver(config: Mapping[str, Any]) -> Any:
    return config.get("log-driver", "json-file")


def _merge_value(current: Any, wanted: Any, last: Any) -> Any:
    if isinstance(current, dict) and isinstance(wanted if wanted is not None else last, dict):
        return merge(current, wanted or {}, last if isinstance(last, dict) else {}) or wanted
    if _texts(current) and _texts(wanted if wanted is not None else last):
        ours = list(wanted or [])
        foreign = [item for item in current if item not in ours and item not in (last or [])]
        return ours + foreign or wanted
    if wanted is None:
        return None if current == last else current
    return wanted


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def observed(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that ``GET /info`` shows, in the form of daemon.json."""
    shown = {
        "log-driver": info.get("LoggingDriver"),
        "live-restore": info.get("LiveRestoreEnabled"),
        "registry-mirrors": (info.get("RegistryConfig") or {}).get("Mirrors"),
        "default-address-pools": [
            {"base": pool["Base"], "size": pool["Size"]}
            for pool in info.get("DefaultAddressPools") or []
        ],
    }
    return {key: _canonical(key, value) for key, value in shown.items() if value is not None}


def _canonical(key: str, value: Any) -> Any:
    """Bring a setting into the form that the engine shows it in."""
    if key == "registry-mirrors" and isinstance(value, list):
        return [str(item).rstrip("/") for item in value]
    return value


def decide(keys: Iterable[str], target: Mapping[str, Any], loaded: Loaded) -> tuple[str, list[str]]:
    """Say whether the engine needs ``none``, ``reload`` or ``restart`` to work as ``target`` says, and why."""
    differing = sorted(key for key in keys if not _in_force(key, target, loaded))
    if not differing:
        return "none", []
    # On a reload dockerd keeps its old value of a key that is no longer in the file.
    light = RELOADABLE.issuperset(differing) and set(target).issuperset(differing)
    return ("reload" if light else "restart"), differing


def _in_force(key: str, target: Mapping[str, Any], loaded: Loaded) -> bool:
    if key in target and key in loaded.shown:
        return bool(loaded.shown[key] == _canonical(key, target[key]))
    return loaded.config is not None and loaded.config.get(key) == target.get(key)


def check(config: Mapping[str, Any]) -> None:
    """Refuse what dockerd would take but nobody should want."""
    for registry in config.get("insecure-registries") or []:
        if not _is_loopback(str(registry)):
            raise HostError(
                f"docker_host_insecure_registries: {registry!r} is not on this box's loopback; images would travel "
                "unencrypted and unverified. Give the registry a certificate and name its CA in docker_host_ca_file."
            )
    for pool in config.get("default-address-pools") or []:
        _check_pool(pool)


def _is_loopback(registry: str) -> bool:
    host = re.sub(r"^\[(.+)\](:\d+)?$|^([^:/]+):\d+$", r"\1\3", registry)
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_network(host, strict=False).is_loopback
    except ValueError:
        return False


def _check_pool(pool: Mapping[str, Any]) -> None:
    try:
        base = ipaddress.ip_network(str(pool["base"]))
        size = int(pool["size"])
    except (KeyError, TypeError, ValueError) as error:
        raise HostError(
            f"docker_host_address_pools: {dict(pool)!r} is no pool ({error}). "
            'Write {base: "172.20.0.0/16", size: 24}: a network address and the prefix length of each network.'
        ) from None
    if not base.prefixlen <= size <= base.max_prefixlen - 2:
        raise HostError(
            f"docker_host_address_pools: size {size} does not fit {base}: it is the prefix length of the networks cut "
            f"from it, {base.prefixlen} to {base.max_prefixlen - 2}."
        )


def flags(argv: Sequence[str]) -> list[str]:
    """Return the command line flags of dockerd without the one that names its configuration file."""
    result, skip = [], False
    for word in list(argv)[1:]:
        if skip or word.startswith(("--config-file=", "$")):
            skip = False
            continue
        skip = word == "--config-file"
        if not skip:
            result.append(word)
    return result
