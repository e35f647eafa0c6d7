# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules about what happens when a model fails: fallbacks, the default, and what a private model may reach.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ._fault import UNKNOWN, Fault, did_you_mean, fault, listing
from ._models import PROVIDERS, deployments, is_local, models
from ._site import Rule, Site, is_true, items, strings, text

__all__ = ["RULES"]

_ANY = "*"  # LiteLLM's default fallbacks follow any model


class Edge(NamedTuple):
    """A request to one model may end up at another."""

    path: str
    source: str
    target: str


def _names(site: Site) -> list[str]:
    return [text(model.get("name")) for _path, model in models(site)]


def _fallbacks(site: Site) -> Iterator[Edge]:
    for path, model in models(site):
        for where, target in strings(model.get("fallbacks"), f"{path}.fallbacks"):
            yield Edge(where, text(model.get("name")), target)


def _free_fallbacks(site: Site) -> Iterator[Edge]:
    """Fallbacks that were written in LiteLLM's own words."""
    for path, model in models(site):
        for one in deployments(path, model):
            params = one.get("params")
            if isinstance(params, Mapping):
                for where, target in strings(
                    params.get("fallbacks"), f"{one.at('params')}.fallbacks"
                ):
                    yield Edge(where, text(model.get("name")), target)
    for section in ("router_settings", "litellm_settings"):
        settings = site.mapping("litellm_config_overrides").get(section)
        if isinstance(settings, Mapping):
            yield from _override_edges(f"litellm_config_overrides.{section}", settings)


def _override_edges(path: str, settings: Mapping[str, object]) -> Iterator[Edge]:
    for where, target in strings(settings.get("default_fallbacks"), f"{path}.default_fallbacks"):
        yield Edge(where, _ANY, target)
    for kind in ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks"):
        for where, pair in items(settings.get(kind), f"{path}.{kind}"):
            for source, targets in pair.items():
                for place, target in strings(targets, f"{where}.{source}"):
                    yield Edge(place, str(source), target)
    aliases = settings.get("model_group_alias")
    for source, target in aliases.items() if isinstance(aliases, Mapping) else ():
        yield Edge(f"{path}.model_group_alias.{source}", str(source), text(target))


def fallback_names(site: Site) -> Iterator[Fault]:
    """A fallback is another model of this list, named once."""
    known = _names(site)
    seen: set[tuple[str, str]] = set()
    for where, source, target in _fallbacks(site):
        if target == source:
            cure = "Name another model, or remove it."
            yield fault(where, target, "A model cannot be its own fallback.", cure)
        elif target not in known:
            cure = did_you_mean(target, known) or "Declare that model, or name one of these."
            yield fault(where, target, f"No such model; declared are {listing(known)}.", cure)
        elif (source, target) in seen:
            yield fault(where, target, "It is listed twice.", "Remove one.")
        seen.add((source, target))


def _graph(edges: Iterator[Edge], known: list[str]) -> dict[str, set[str]]:
    graph: dict[str, set[str]] = {name: set() for name in known}
    for _where, source, target in edges:
        for name in known if source == _ANY else [source]:
            graph.setdefault(name, set()).add(target)
    return graph


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
    for where, source, target in _fallbacks(site):
        if target != source and source in _reach(graph, target):
            yield fault(
                where,
                target,
                f"The fallbacks go in a circle: {target} falls back to {source} already.",
                "Remove one of the two, so that the chain ends.",
            )
        else:
            graph.setdefault(source, set()).add(target)


def default_model(site: Site) -> Iterator[Fault]:
    """The default model is one that is served."""
    name = text(site.get("llm_default_model"))
    known = _names(site)
    if name and site.get("llm_models") is not UNKNOWN and name not in known:
        cure = did_you_mean(name, known) or "Name one of these, or declare that model."
        reason = f"No such model; llm_models has {listing(known)}."
        yield fault("llm_default_model", name, reason, cure)


def private_models(site: Site) -> Iterator[Fault]:
    """What is asked of a private model never leaves the box, whatever fails."""
    private: dict[str, str] = {}
    cloud: dict[str, str] = {}
    for path, model in models(site):
        is_private = is_true(model.get("private"))
        if is_private:
            private.setdefault(text(model.get("name")), path)
        for one in deployments(path, model):
            if one.provider in PROVIDERS and not is_local(one):
                cloud.setdefault(text(model.get("name")), one.path)
                if is_private:
                    field = "base_url" if one.get("base_url") else "provider"
                    yield fault(
                        one.at(field),
                        one.get(field),
                        f"{path} is private, and this deployment is not on the box or its network.",
                        "Use a local provider (ollama, or openai_compatible with a private address),"
                        " or remove private: true.",
                    )
    yield from _cloud_fallbacks(site, private, cloud)


def _cloud_fallbacks(
    site: Site, private: Mapping[str, str], cloud: Mapping[str, str]
) -> Iterator[Fault]:
    edges = [*_fallbacks(site), *_free_fallbacks(site)]
    graph = _graph(iter(edges), _names(site))
    for where, source, target in edges:
        owner = private.get(source) or (next(iter(private.values()), "") if source == _ANY else "")
        reached = sorted(_reach(graph, target) & set(cloud) - {source})
        if owner and reached:
            through = "it" if target in reached else f"its own fallback {reached[0]}"
            place = cloud[target if target in reached else reached[0]]
            yield fault(
                where,
                target,
                f"{owner} is private, and {through} has a deployment that is not local ({place}).",
                "Fall back to local models only, or remove private: true.",
            )


RULES: tuple[Rule, ...] = (fallback_names, fallback_circles, default_model, private_models)
