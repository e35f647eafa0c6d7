# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules about the box: directory, project, networks, addresses, ports, names, sizes. Private to this collection."""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ._engine import WEB_ADDRESS, Network, free_subnet
from ._fault import UNKNOWN, Fault, did_you_mean, fault, listing, number
from ._site import NAME, Rule, Site, given, items, strings, text

__all__ = ["RULES"]

_SIZE = re.compile(r"^[1-9]\d{0,8}[kmg]b?\Z", re.IGNORECASE)
# Directories that a stack never has to itself; whatever lies deeper in the second kind may be its own.
_SYSTEM = re.compile(
    r"^/((bin|boot|dev|etc|lib|lib64|proc|run|sbin|sys|tmp|usr)(/.*)?|(home|media|mnt|opt|root|srv|var)?|(home|var)/[^/]+)$"
)
_NETWORK = ("internal", "subnet", "driver", "driver_opts", "enable_ipv6")
_WORKER_BYTES = 350 * 1024**2  # of one idle worker of LiteLLM, with little to spare
_LAST_PORT = 65535


def home(site: Site) -> Iterator[Fault]:
    """The directory of the stack is one that may be removed as a whole."""
    path = text(site.get("stack_home"))
    if not path:
        return
    if not path.startswith("/") or ".." in path.split("/") or re.search(r"\s", path):
        yield fault(
            "stack_home",
            path,
            "It is not an absolute path without spaces.",
            "Write it like /opt/gpubox.",
        )
    elif _SYSTEM.match(posixpath.normpath(path)):
        yield fault(
            "stack_home",
            path,
            "The stack has this directory to itself and removes it when asked to; this one belongs to the system.",
            "Choose a directory of its own, for example /opt/gpubox or /srv/gpubox.",
        )


def project(site: Site) -> Iterator[Fault]:
    """Compose takes plain project names only."""
    name = text(site.get("stack_project"))
    if name and not NAME.match(name):
        yield fault(
            "stack_project",
            name,
            "Compose takes lower-case letters, digits, - and _ only, beginning with a letter or digit.",
            "Write it like gpubox.",
        )


def networks(site: Site) -> Iterator[Fault]:
    """Networks have known keys and subnets of their own."""
    taken: dict[str, Network] = {}
    for name, options in site.mapping("stack_networks").items():
        path = f"stack_networks.{name}"
        if options is not None and not isinstance(options, Mapping):
            if options is not UNKNOWN:
                yield fault(
                    path,
                    options,
                    "It is not a mapping.",
                    "Write {} or keys such as internal and subnet.",
                )
            continue
        for key in options or {}:
            if key not in _NETWORK:
                cure = did_you_mean(key, _NETWORK) or "Remove it."
                yield fault(
                    f"{path}.{key}",
                    UNKNOWN,
                    f"There is no such key here; the keys are {listing(_NETWORK)}.",
                    cure,
                )
        subnet = (options or {}).get("subnet")
        if given(subnet) and subnet is not UNKNOWN:
            yield from free_subnet(f"{path}.subnet", subnet, taken)


def addresses(site: Site) -> Iterator[Fault]:
    """What is published is published on an address of the box."""
    for name in site.options:
        value = site.get(name)
        if re.search(r"_bind(_address)?$", name) and text(value):
            try:
                ipaddress.ip_address(value)
            except ValueError:
                yield fault(
                    name,
                    value,
                    "It is not an IP address.",
                    "Write 127.0.0.1, 0.0.0.0 or an address of the box.",
                )


def _published(site: Site) -> Iterator[tuple[str, str, int, str]]:
    """Path, address, port and protocol of everything that is published on the box."""
    port = number(site.get("reverse_proxy_port"))
    if port is not None and "reverse_proxy_port" in site.options:
        yield (
            "reverse_proxy_port",
            text(site.get("reverse_proxy_bind")) or "0.0.0.0",
            int(port),
            "tcp",
        )
    for variable in ("stack_services", "stack_overrides"):
        for name, definition in site.mapping(variable).items():
            compose = definition.get("compose") if isinstance(definition, Mapping) else None
            ports = compose.get("ports") if isinstance(compose, Mapping) else None
            for index, entry in enumerate(ports if isinstance(ports, list) else ()):
                parsed = _port(entry)
                if parsed and not (variable == "stack_overrides" and name == "reverse_proxy"):
                    yield (f"{variable}.{name}.compose.ports[{index}]", *parsed)


def _port(entry: Any) -> tuple[str, int, str] | None:
    if isinstance(entry, Mapping):
        port = number(entry.get("published"))
        if port is None:
            return None
        return (
            str(entry.get("host_ip") or "0.0.0.0"),
            int(port),
            str(entry.get("protocol") or "tcp"),
        )
    match = re.match(
        r"^(?:(?P<ip>[\d.]+|\[[0-9a-fA-F:]+\]):)?(?P<port>\d+):\d+(?:/(?P<kind>tcp|udp))?\Z",
        str(entry),
    )
    return (
        ((match["ip"] or "0.0.0.0").strip("[]"), int(match["port"]), match["kind"] or "tcp")
        if match
        else None
    )


def ports(site: Site) -> Iterator[Fault]:
    """One port of the box belongs to one service."""
    seen: list[tuple[str, str, int, str]] = []
    for path, address, port, kind in _published(site):
        if not 1 <= port <= _LAST_PORT:
            if path != "reverse_proxy_port":
                yield fault(
                    path, port, "It must be from 1 to 65,535.", "Choose a number in that range."
                )
            continue
        for other, theirs, number_, their_kind in seen:
            same = address == theirs or {address, theirs} & {"0.0.0.0", "::"}
            if number_ == port and their_kind == kind and same:
                yield fault(
                    path, port, f"{other} publishes the same port.", "Choose a port that is free."
                )
                break
        seen.append((path, address, port, kind))


def aliases(site: Site) -> Iterator[Fault]:
    """A name on the container networks means one service."""
    seen = {name: f"the service {name}" for name in site.all_services}
    for variable in (name for name in site.options if name.endswith("_aliases")):
        for where, alias in strings(site.get(variable), variable):
            if not re.match(r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?\Z", alias):
                yield fault(
                    where,
                    alias,
                    "It is not a host name in lower case.",
                    "Write it like llama-litellm.",
                )
            elif alias in seen:
                yield fault(
                    where,
                    alias,
                    f"It is also {seen[alias]}; requests would go to either.",
                    "Choose another name.",
                )
            seen.setdefault(alias, where)


def sizes(site: Site) -> Iterator[Fault]:
    """Limits of memory and disk have a unit."""
    for name, option in site.options.items():
        value = site.get(name)
        if (
            re.search(r"_(memory|max_size|tmp_size)$", name)
            and option.get("type", "str") == "str"
            and text(value)
        ) and not _SIZE.match(value):
            yield fault(name, value, "It is not a size with its unit.", "Write it like 512m or 2g.")


def _bytes(value: Any) -> int:
    """Bytes of a size such as 512m; 0 if it is none."""
    if not _SIZE.match(text(value)):
        return 0
    digits = re.sub(r"\D", "", value)
    return int(digits) * 1024 ** (" kmg".index(value.lower().rstrip("b")[-1]))


def room(site: Site) -> Iterator[Fault]:
    """A container's memory holds what is put into it."""
    for role in ("litellm", "reverse_proxy"):
        memory, tmp = site.get(f"{role}_memory"), site.get(f"{role}_tmp_size")
        if 0 < _bytes(memory) <= _bytes(tmp):
            cure = "Raise it, or lower the other."
            yield fault(f"{role}_memory", memory, f"{role}_tmp_size ({tmp}) comes out of it.", cure)
    memory, workers = site.get("litellm_memory"), number(site.get("litellm_workers")) or 0
    if 0 < _bytes(memory) < workers * _WORKER_BYTES:
        needed = f"{int(workers * _WORKER_BYTES / 1024**2)}m"
        reason = (
            f"{int(workers)} workers of LiteLLM need {needed} at least, and are killed with less."
        )
        yield fault("litellm_memory", memory, reason, "Raise it, or lower litellm_workers.")


def _texts(site: Site, names: str) -> Iterator[tuple[str, str]]:
    """Variables of one text whose name fits a pattern."""
    for name in site.options:
        value = text(site.get(name))
        if value and re.search(names, name):
            yield name, value


def paths(site: Site) -> Iterator[Fault]:
    """A path on the box means the same whoever reads it."""
    for name, value in _texts(site, r"^local_images_\w+_(dir|file)$"):
        if not value.startswith("/") or ".." in value.split("/") or re.search(r"[\r\n]", value):
            yield fault(
                name, value, "It is not an absolute path.", "Write it from / on, on one line."
            )


def urls(site: Site) -> Iterator[Fault]:
    """Addresses of mirrors are complete."""
    for name, value in _texts(site, r"(_url|_mirror)$"):
        if not WEB_ADDRESS.match(value):
            yield fault(
                name, value, "It is not a web address.", "Write it like http://host:port/path."
            )


def patterns(site: Site) -> Iterator[Fault]:
    """A regular expression is one."""
    for where, one in items(site.get("local_images_refused"), "local_images_refused"):
        try:
            re.compile(text(one.get("match")))
        except re.error as error:
            cure = "Correct it; a plain dot is written \\."
            yield fault(
                f"{where}.match", one["match"], f"It is no regular expression: {error}.", cure
            )


RULES: tuple[Rule, ...] = (
    home,
    project,
    networks,
    addresses,
    ports,
    aliases,
    sizes,
    room,
    paths,
    urls,
    patterns,
)
