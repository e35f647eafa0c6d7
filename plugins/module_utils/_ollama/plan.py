# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to be known before, and what must change: pure. Private to this collection."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from ansible_collections.gpubox.llm.plugins.module_utils._ollama.client import Loaded, Model
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.names import Name
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.registry import Manifest
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.wanted import Wanted
from ansible_collections.gpubox.llm.plugins.module_utils._reconcile import (
    Change,
    Field,
    plan_collection,
)

__all__ = ["MAKING", "State", "Step", "moved", "steps", "to_ask"]

MAKING = ("pull", "create")  # the actions after which a model is there
UNKNOWN = "(known after apply)"
DAMAGED = "(damaged)"
FIELDS = (Field("digest"), Field("loaded"))


@dataclass(frozen=True)
class State:
    """What is known of the server and of the registries."""

    models: Mapping[Name, Model] = field(default_factory=dict)
    loaded: Mapping[Name, Loaded] = field(default_factory=dict)
    damaged: Collection[Name] = ()
    manifests: Mapping[Name, Manifest | None] = field(
        default_factory=dict
    )  # None: it cannot be read
    differing: Collection[Name] = ()  # created models that are not as declared

    def digest(self, name: Name) -> str:
        """What the server has under a name; empty if that is nothing that can be used."""
        there = self.models.get(name)
        return there.digest if there and name not in self.damaged else ""


@dataclass(frozen=True)
class Step:
    """What is done about one model."""

    name: Name
    wanted: Wanted | None  # None: the list does not name it
    change: Change

    @property
    def action(self) -> str:
        """In one word."""
        if self.change.action == "delete":
            return "delete"
        if "digest" in self.change.updates:
            return "create" if self.wanted and self.wanted.source else "pull"
        if "loaded" in self.change.updates:
            return "load" if self.change.updates["loaded"] else "unload"
        return "none"

    def shown(self, side: Mapping[str, Any] | None) -> str | None:
        """One side of the change in one line; None if the model is not there."""
        if side is None:
            return None
        managed = self.wanted is not None and self.wanted.loaded is not None
        memory = (", loaded" if side.get("loaded") else ", not loaded") if managed else ""
        return f"{side['digest']}{memory}"


def to_ask(wanted: Iterable[Wanted], state: State) -> list[Wanted]:
    """The models whose manifest must be asked for; one that is there, or is what it is pinned to, costs nothing."""
    found = []
    for model in wanted:
        there = state.digest(model.name)
        settled = there and there == (model.digest or there) and model.state != "latest"
        if model.is_pulled and not settled:
            found.append(model)
    return found


def moved(model: Wanted, now: str, where: str) -> str:
    """What is said of a digest that is not the one that a model is pinned to."""
    return (
        f"{model.name}: it is pinned to sha256:{model.digest}, but {where} has sha256:{now} under this name. "
        "Pin it to that one if you trust it, or get the old one from a mirror (registry_mirror)."
    )


def steps(wanted: Sequence[Wanted], state: State, *, prune: bool = False) -> list[Step]:
    """What is done, model by model; of a cloud model nothing is on the server that would matter."""
    remote = {model.name for model in wanted if model.name.is_cloud and model.state != "absent"}
    listed = {model.name: model for model in wanted if model.name not in remote}
    current = [_current(name, state) for name in state.models if name not in remote]
    desired = [_desired(model, state) for model in listed.values()]
    changes = plan_collection("name", FIELDS, current, desired, prune=prune)
    return [Step(cast(Name, key), listed.get(cast(Name, key)), change) for key, change in changes]


def _current(name: Name, state: State) -> dict[str, Any]:
    digest, loaded = state.digest(name), state.loaded.get(name)
    return {
        "name": name,
        "digest": f"sha256:{digest}" if digest else DAMAGED,
        # What the name meant before may be in memory still.
        "loaded": bool(loaded and loaded.digest in ("", digest)),
    }


def _desired(model: Wanted, state: State) -> dict[str, Any]:
    there, digest = state.digest(model.name), None
    if model.source:
        settled = there and model.name not in state.differing
        digest = None if settled else f"from {model.source}"
    elif model.digest:
        digest = f"sha256:{model.digest}"
    elif model.name in state.manifests:
        manifest = state.manifests[model.name]
        digest = f"sha256:{manifest.digest}" if manifest else UNKNOWN
    return {"name": model.name, "state": model.state, "digest": digest, "loaded": model.loaded}
