# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules about what happens when a model fails: fallbacks, the default, and what a private model may reach.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ._fault import UNKNOWN, Fault, did_you_mean, fault, listing
from ._models import PROVIDERS, deployments, is_local, models
from ._site import Rule, Site, given, strings, text

__all__ = ["RULES"]


def _names(site: Site) -> list[str]:
    return [text(model.get("name")) for _path, model in models(site)]


def _fallbacks(path: str, model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    return strings(model.get("fallbacks"), f"{path}.fallbacks")


def fallback_names(site: Site) -> Iterator[Fault]:
    """A fallback is another model of this list, named once."""
    known = _names(site)
    for path, model in models(site):
        seen: set[str] = set()
        for where, name in _fallbacks(path, model):
            if name == model.get("name"):
                yield fault(
                    where,
                    name,
                    "A model cannot be its own fallback.",
                    "Name another model, or remove it.",
                )
            elif name not in known:
                cure = did_you_mean(name, known) or "Declare that model, or name one of these."
                yield fault(where, name, f"No such model; declared are {listing(known)}.", cure)
            elif name in seen:
                yield fault(where, name, "It is listed twice.", "Remove one.")
            seen.add(name)


def _reach(graph: Mapping[str, set[str]], start: str) -> set[str]:
    """Every model that a request to ``start`` can end up at, itself included."""
    reached, waiting = set(), [start]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(graph.get(name, ()))
    return reached


def fallback_circles(site: Site) -> Iterator[Fault]:
    """Fallbacks end somewhere: the one that would close a circle is reported."""
    graph: dict[str, set[str]] = {}
    for path, model in models(site):
        name = text(model.get("name"))
        for where, other in _fallbacks(path, model):
            if other != name and name in _reach(graph, other):
                yield fault(
                    where,
                    other,
                    f"The fallbacks go in a circle: {other} falls back to {name} already.",
                    "Remove one of the two, so that the chain ends.",
                )
            else:
                graph.setdefault(name, set()).add(other)


def default_model(site: Site) -> Iterator[Fault]:
    """The default model is one that is served."""
    name = text(site.get("llm_default_model"))
    known = _names(site)
    if name and site.get("llm_models") is not UNKNOWN and name not in known:
        cure = did_you_mean(name, known) or "Name one of these, or declare that model."
        yield fault(
            "llm_default_model", name, f"No such model; llm_models has {listing(known)}.", cure
        )


def private_models(site: Site) -> Iterator[Fault]:
    """What is asked of a private model never leaves the box, whatever fails."""
    graph: dict[str, set[str]] = {}
    cloud: dict[str, str] = {}
    for path, model in models(site):
        name = text(model.get("name"))
        graph.setdefault(name, set()).update(other for _where, other in _fallbacks(path, model))
        for where, deployment in deployments(path, model):
            if not is_local(deployment):
                cloud.setdefault(name, where)
    for path, model in models(site):
        if model.get("private") is True:
            yield from _own_deployments(path, model)
            yield from _cloud_fallbacks(path, model, graph, cloud)


def _own_deployments(path: str, model: Mapping[str, Any]) -> Iterator[Fault]:
    for where, deployment in deployments(path, model):
        if deployment.get("provider") in PROVIDERS and not is_local(deployment):
            field = "base_url" if given(deployment.get("base_url")) else "provider"
            yield fault(
                f"{where}.{field}",
                deployment.get(field),
                f"{path} is private, and this deployment is not on the box or its network.",
                "Use a local provider (ollama, or openai_compatible with a private address), or remove private: true.",
            )


def _cloud_fallbacks(
    path: str, model: Mapping[str, Any], graph: Mapping[str, set[str]], cloud: Mapping[str, str]
) -> Iterator[Fault]:
    for where, name in _fallbacks(path, model):
        for reached in sorted(_reach(graph, name) & set(cloud) - {text(model.get("name"))}):
            through = "it" if reached == name else f"its own fallback {reached}"
            yield fault(
                where,
                name,
                f"{path} is private, and {through} has a deployment that is not local ({cloud[reached]}).",
                "Fall back to local models only, or remove private: true.",
            )
            break


RULES: tuple[Rule, ...] = (fallback_names, fallback_circles, default_model, private_models)
