# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every fault in the variables of a host, at once: ``faults(specs, variables)``. Pure. Private to this collection.

First each variable is held against the argument specs of the roles (``_spec``), then the rules that cross roles look at
them together (the other files, one a topic). A rule is one function of the ``Site`` that yields
faults; a new rule is one function and its place in the ``RULES`` of its file. Rules never stumble over a value of the
wrong type, because that is a fault of its own, found before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from . import _box, _engine, _fallbacks, _image, _models, _ollama, _proxy, _secrets, _services
from ._fault import UNKNOWN, Fault, did_you_mean, fault, listing, render
from ._site import Rule, Site
from ._spec import SYNONYMS, check

__all__ = ["RULES", "UNKNOWN", "Fault", "did_you_mean", "faults", "listing", "render"]

RULES: tuple[Rule, ...] = tuple(
    rule
    for topic in (_models, _ollama, _fallbacks, _proxy, _image, _services, _box, _engine, _secrets)
    for rule in topic.RULES
)

Specs = Mapping[str, Mapping[str, Any]]  # role -> entry point `main` of its argument specs


def faults(
    specs: Specs,
    variables: Mapping[str, Any],
    *,
    roles: Iterable[str] = (),
    services: Iterable[str] = (),
    names: Iterable[str] = (),
    broken: Iterable[Fault] = (),
) -> list[Fault]:
    """All faults, one a path, in the order of their paths.

    ``specs`` are those of all roles, ``roles`` names the ones to check (default: all), ``services`` those that describe
    a service, ``names`` are variables that nothing reads as far as is known, ``broken`` faults
    of variables that could not be evaluated.
    """
    chosen = {role: specs[role] for role in (roles or specs)}
    site = Site(_options(chosen), variables, frozenset(services))
    found: dict[str, Fault] = {}
    for one in (*broken, *_all(chosen, site, _options(specs), specs, names)):
        found.setdefault(one.path, one)
    return sorted(found.values(), key=lambda one: _order(one.path))


def _all(
    chosen: Specs, site: Site, known: Specs, specs: Specs, names: Iterable[str]
) -> Iterator[Fault]:
    for spec in chosen.values():
        yield from check(spec.get("options") or {}, site.variables, "", spec)
    for rule in RULES:
        yield from rule(site)
    yield from _unknown(known, specs, names)


def _options(specs: Specs) -> dict[str, Mapping[str, Any]]:
    """Variable -> option. Where several roles read a variable, the one that says most about it counts."""
    options: dict[str, Mapping[str, Any]] = {}
    for spec in specs.values():
        for name, option in (spec.get("options") or {}).items():
            options[name] = {
                **option,
                **{k: v for k, v in options.get(name, {}).items() if v is not None},
            }
    return options


def _unknown(known: Specs, roles: Iterable[str], names: Iterable[str]) -> Iterator[Fault]:
    """A variable with the prefix of a role that no role reads is a slip of the pen."""
    prefixes = (*(f"{role}_" for role in roles), "llm_")
    for name in names:
        if name.startswith(prefixes) and name not in known:
            cure = (
                did_you_mean(name, known, SYNONYMS, cutoff=0.8)
                or "Remove it; if it is your own, give it another prefix."
            )
            yield fault(name, UNKNOWN, "No role reads a variable of this name.", cure)


def _order(path: str) -> list[tuple[int, int | str]]:
    parts = re.findall(r"\d+|[^\d\[\].]+", path)
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts]
