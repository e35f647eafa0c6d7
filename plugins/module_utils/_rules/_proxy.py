# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules about the sites of the reverse proxy: exact names, known services, allow-lists, limits.

Private to this collection.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ._fault import UNKNOWN, Fault, did_you_mean, fault, listing, number
from ._site import Rule, Site, given, items, strings, text

__all__ = ["RULES", "host_problem"]

_LABEL = re.compile(r"^(?!-)[a-z0-9-]{1,63}(?<!-)\Z")
_RATE = re.compile(r"^([1-9]\d{0,5})r/([sm])\Z")
_SIZE = re.compile(r"^[1-9]\d{0,8}[kmg]?\Z", re.IGNORECASE)
_PATH = re.compile(r"^/[A-Za-z0-9._~/-]*\Z")
_LONGEST_NAME = 253
_NOT_A_HOST = (
    (r"/", "It is an address; the proxy matches the host name alone.", "Write {bare}."),
    (
        r"\*|^[_.~]",
        "It is a pattern; the proxy answers to exact names only.",
        "List every name, one in host and others in hosts.",
    ),
    (r":\d+$", "It has a port; the proxy matches the host name alone.", "Write {bare}."),
    (r"[A-Z]", "Host names are matched in lower case.", "Write {bare}."),
)
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_ROUTE_CURE = (
    "Name an allow-list (openai), or list routes like {path: /v1/embeddings, methods: [POST]}."
)
_FASTEST = {"s": 100000, "m": 600000}


def _sites(site: Site) -> list[tuple[str, Mapping[str, Any]]]:
    return list(items(site.get("reverse_proxy_sites"), "reverse_proxy_sites"))


def _hosts(path: str, one: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if text(one.get("host")):
        yield f"{path}.host", one["host"]
    yield from strings(one.get("hosts"), f"{path}.hosts")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def host_problem(host: str) -> tuple[str, str] | None:
    """Why a host name cannot be one that the proxy answers to, and the cure."""
    if _is_address(host.strip("[]")):
        return None
    for pattern, reason, cure in _NOT_A_HOST:
        if re.search(pattern, host):
            return reason, cure.format(bare=_bare(host))
    if len(host) <= _LONGEST_NAME and all(_LABEL.match(label) for label in host.split(".")):
        return None
    return (
        "It is not a host name: parts of letters, digits and hyphens, joined by dots, up to 253 characters.",
        "Write it like llm.example.com (a name with other letters in its xn-- form).",
    )


def _bare(host: str) -> str:
    return (
        re.sub(r":\d+$", "", re.sub(r"^.*://", "", host).split("/")[0]).lower() or "the name alone"
    )


def hosts(site: Site) -> Iterator[Fault]:
    """Exact names, each of one site."""
    seen: dict[str, str] = {}
    for path, one in _sites(site):
        for where, host in _hosts(path, one):
            problem = host_problem(host)
            if problem:
                yield fault(where, host, *problem)
            elif host in seen:
                yield fault(
                    where,
                    host,
                    f"{seen[host]} is the same name.",
                    "Give every site names of its own.",
                )
            seen.setdefault(host, where)


def services(site: Site) -> Iterator[Fault]:
    """A site stands before a service that is described."""
    known = site.all_services
    for path, one in _sites(site):
        service = text(one.get("service"))
        if service == "reverse_proxy":
            yield fault(
                f"{path}.service",
                service,
                "A site cannot stand before the proxy itself.",
                f"Name one of {_others(known)}.",
            )
        elif service and known and service not in known:
            cure = (
                did_you_mean(service, known)
                or "Name one of these, or describe it in stack_services."
            )
            yield fault(
                f"{path}.service", service, f"No such service; there are {_others(known)}.", cure
            )


def _others(known: list[str]) -> str:
    return listing(name for name in known if name != "reverse_proxy")


def ports(site: Site) -> Iterator[Fault]:
    """A service that is not ours says where it listens."""
    known = site.mapping("__reverse_proxy_service_ports") or {"litellm": 4000}
    for path, one in _sites(site):
        service = text(one.get("service"))
        if service and service not in known and not given(one.get("port")):
            yield fault(
                f"{path}.port",
                UNKNOWN,
                f"It is not set, and where {service} listens is not known.",
                "Set it to the port inside the service's container.",
            )


def routes(site: Site) -> Iterator[Fault]:
    """Named allow-lists and own routes: exact paths and known methods, never everything."""
    named = list(site.mapping("__reverse_proxy_routes"))
    for path, one in _sites(site):
        own = one.get("routes")
        where = f"{path}.routes"
        if isinstance(own, str):
            yield from _named_routes(where, own, named)
        elif isinstance(own, list):
            yield from _own_routes(where, own, named)
        elif own is not None and own is not UNKNOWN:
            yield fault(
                where, own, "It is neither the name of an allow-list nor a list.", _ROUTE_CURE
            )


def _own_routes(where: str, own: list[Any], named: list[str]) -> Iterator[Fault]:
    if not own:
        yield fault(where, UNKNOWN, "The list is empty, so nothing would be served.", _ROUTE_CURE)
    seen: dict[Any, str] = {}
    for index, route in enumerate(own):
        place = f"{where}[{index}]"
        path = route.get("path") if isinstance(route, Mapping) else route
        if isinstance(route, str):
            yield from _named_routes(place, route, named)
        elif isinstance(route, Mapping):
            yield from _own_route(place, route)
        elif route is not UNKNOWN:
            yield fault(
                place, route, "It is neither the name of an allow-list nor a route.", _ROUTE_CURE
            )
        if isinstance(path, str) and path in seen:
            yield fault(
                place,
                UNKNOWN,
                f"{seen[path]} lists {path} already.",
                "Remove one; a route may have several methods.",
            )
        elif isinstance(path, str):
            seen[path] = place


def _named_routes(where: str, name: str, named: list[str]) -> Iterator[Fault]:
    if name.startswith("/"):
        yield fault(
            where,
            name,
            "A path alone says no method.",
            f"Write {{path: {name}, methods: [GET]}} in a list.",
        )
    elif not name or (named and name not in named):
        cure = did_you_mean(name, named) or _ROUTE_CURE
        yield fault(where, name, f"There is no such allow-list; there are {listing(named)}.", cure)


def _own_route(where: str, route: Mapping[str, Any]) -> Iterator[Fault]:
    for key in route:
        if key not in ("path", "methods"):
            cure = did_you_mean(key, ("path", "methods")) or "Remove it."
            yield fault(
                f"{where}.{key}",
                UNKNOWN,
                "There is no such key here; the keys are path, methods.",
                cure,
            )
    path = route.get("path")
    problem = (
        ("It is required and not set.", _ROUTE_CURE)
        if not text(path)
        else _path_problem(text(path))
    )
    if path is not UNKNOWN and problem:
        yield fault(f"{where}.path", path if given(path) else UNKNOWN, *problem)
    methods = route.get("methods")
    if (
        methods is not None
        and methods is not UNKNOWN
        and not (isinstance(methods, list) and methods)
    ):
        yield fault(
            f"{where}.methods",
            methods,
            "It is not a list of methods.",
            "Write it like [GET, POST].",
        )
    for place, method in strings(methods, f"{where}.methods"):
        if method not in _METHODS:
            cure = did_you_mean(method, _METHODS) or "Use one of them."
            yield fault(place, method, f"It is none of {listing(_METHODS)}.", cure)


def _path_problem(path: str) -> tuple[str, str] | None:
    if not path.startswith("/"):
        return "A path begins with a slash.", f"Write /{path}."
    if _PATH.match(path) and not re.search(r"//|/\.\.?(/|$)", path):
        return None
    return (
        "It is not a plain path: no patterns, no query, no dot segments, no escapes. Each route is one exact path.",
        "Write the path as clients send it, for example /v1/embeddings, one route for each.",
    )


def _limits(site: Site) -> Iterator[tuple[str, Any]]:
    """Path and value of everything that is written like a rate."""
    for name in ("per_ip", "per_key"):
        variable = f"reverse_proxy_rate_limit_{name}"
        yield variable, site.get(variable)
        for path, one in _sites(site):
            limit = one.get("rate_limit")
            if isinstance(limit, Mapping):
                yield f"{path}.rate_limit.{name}", limit.get(name)


def rate_limits(site: Site) -> Iterator[Fault]:
    """Rates as nginx and people read them: so many requests a second or a minute."""
    for path, value in _limits(site):
        if value in (None, "", UNKNOWN) or not isinstance(value, (str, int)):
            continue
        match = _RATE.match(str(value))
        if not match:
            yield fault(
                path,
                value,
                "It is not a rate.",
                "Write it like 20r/s (a second) or 60r/m (a minute).",
            )
        elif int(match[1]) > _FASTEST[match[2]]:
            yield fault(
                path,
                value,
                f"Above {_FASTEST[match[2]]}r/{match[2]} it limits nothing.",
                "Choose a lower rate.",
            )


def sizes(site: Site) -> Iterator[Fault]:
    """Body sizes as nginx reads them; 0 would mean no limit."""
    found = [(f"{path}.body_size", one.get("body_size")) for path, one in _sites(site)]
    for path, value in [("reverse_proxy_body_size", site.get("reverse_proxy_body_size")), *found]:
        if (
            isinstance(value, (str, int))
            and not isinstance(value, bool)
            and value != ""
            and not _SIZE.match(str(value))
        ):
            yield fault(
                path, value, "It is not a size.", "Write it like 32m (k, m or g), above zero."
            )


def workers(site: Site) -> Iterator[Fault]:
    """As many worker processes as there are cores, or a number."""
    name = "reverse_proxy_worker_processes"
    value = site.get(name)
    if value not in (None, "auto", UNKNOWN) and not re.match(
        r"^([1-9]|[1-9]\d|1\d\d|2[0-4]\d|25[0-6])\Z", str(value)
    ):
        yield fault(
            name,
            value,
            "It is neither auto nor a number from 1 to 256.",
            "Write auto, for one per core.",
        )


def time_limits(site: Site) -> Iterator[Fault]:
    """The proxy waits longer than LiteLLM, so that clients get LiteLLM's error and fallbacks get their turn."""
    common = number(site.get("reverse_proxy_read_seconds"))
    limits = [("litellm_timeout_seconds", number(site.get("litellm_timeout_seconds")))]
    limits += [
        (f"{p}.timeout", number(m.get("timeout")))
        for p, m in items(site.get("llm_models"), "llm_models")
    ]
    longest = max(limits, key=lambda limit: limit[1] or 0)
    for path, one in _sites(site):
        timeouts = one.get("timeouts")
        own = number(timeouts.get("read_seconds")) if isinstance(timeouts, Mapping) else None
        wait = common if own is None else own
        if one.get("service") == "litellm" and wait and longest[1] and wait <= longest[1]:
            where = "reverse_proxy_read_seconds" if own is None else f"{path}.timeouts.read_seconds"
            reason = (
                f"The proxy would give up before LiteLLM does ({longest[0]} is {longest[1]:g})."
            )
            yield fault(
                where, f"{wait:g}", reason, f"Raise it above {longest[1]:g}, or lower the other."
            )


RULES: tuple[Rule, ...] = (hosts, services, ports, routes, rate_limits, sizes, workers, time_limits)
