# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds out what the plan has to know. Private to this collection."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._http import (
    HttpError,
    NotFound,
    Unauthorized,
)
from ansible_collections.gpubox.llm.plugins.module_utils._ollama import create
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.client import Ollama
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.gguf import sha256
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.names import Name, OllamaError
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.plan import State, moved, to_ask
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.registry import Manifest, Registry
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.wanted import Wanted

__all__ = ["digests", "look"]

AT_ONCE = 8  # manifests are small


def look(
    server: Ollama,
    listed: Iterable[Wanted],
    registry: Callable[[], Registry],
    damaged: Iterable[Name] = (),
) -> tuple[list[Wanted], State]:
    """Ask the server, and the registries for no more than is needed; OllamaError names every fault.

    The models come back as the server spells them, because that is how a registry knows them.
    """
    models = server.tags()
    wanted = [replace(m, name=models[m.name].name) if m.name in models else m for m in listed]
    state = State(models, damaged=frozenset(damaged))
    if any(model.loaded is not None for model in wanted):
        state = replace(state, loaded=server.ps())
    unknown = to_ask(wanted, state)
    if unknown:
        state = replace(state, manifests=_manifests(registry(), unknown))
    return wanted, replace(state, differing=[*_differing(server, wanted, state)])


def _manifests(registry: Registry, unknown: Sequence[Wanted]) -> dict[Name, Manifest | None]:
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        found = list(pool.map(lambda model: _manifest(registry, model), unknown))
    faults = [fault for _unused, fault in found if fault]
    if faults:
        raise OllamaError("\n".join(faults))
    return {model.name: manifest for model, (manifest, _unused) in zip(unknown, found)}


def _manifest(registry: Registry, model: Wanted) -> tuple[Manifest | None, str]:
    """The manifest, or what is wrong. A private model's only the server may read, which has a key for that."""
    host = registry.origin(model.name).host
    try:
        manifest = registry.manifest(model.name)
    except Unauthorized as error:
        if model.state != "latest":
            return None, ""
        return None, (
            f"{model.name}: whether it is the latest cannot be known, because it is private. "
            f"Pin it to a digest, or have it present. ({error})"
        )
    except OllamaError as error:
        return None, str(error)
    except HttpError as error:
        return None, (
            f"{model.name}: its registry {host} cannot be asked: {error}. "
            "Check the way to it, or set registry_mirror."
        )
    if model.digest and model.digest != manifest.digest:
        return None, moved(model, manifest.digest, host)
    return manifest, ""


# -- created models --------------------------------------------------------------------------------------------


def _differing(server: Ollama, wanted: Iterable[Wanted], state: State) -> Iterator[Name]:
    """The created models that are there, but not as declared, or are created from what will be replaced."""
    replaced = {name for name, found in state.manifests.items() if _moves(name, found, state)}
    for model in wanted:
        if model.state == "absent" or not model.source or not state.digest(model.name):
            continue
        if model.base in replaced or _is_other(server, model, state):
            replaced.add(model.name)
            yield model.name


def _moves(name: Name, manifest: Manifest | None, state: State) -> bool:
    return manifest is None or manifest.digest != state.digest(name)


def _is_other(server: Ollama, model: Wanted, state: State) -> bool:
    """Whether what is there is not what the list declares."""
    try:
        show = server.show(model.name)
        base = server.show(model.base) if model.base and model.base in state.models else None
    except NotFound:
        return True  # it has just been removed
    made = str(show.get("modified_at", ""))
    known = digests(model.options, partial(_is_newer, made=made))
    return bool(create.wanted(model.options, show, base=base, digests=known))


def digests(
    options: Mapping[str, Any], needed: Callable[[str], bool] = lambda path: True
) -> dict[str, str]:
    """SHA-256, 64 digits, of the files that a model is created from, by path."""
    paths = [*filter(None, [options.get("file")]), *(options.get("adapters") or [])]
    return {path: sha256(path) for path in paths if needed(path)}


def _is_newer(path: str, made: str) -> bool:
    """Whether a file was written after a model was made; only then is it read once more."""
    try:
        written = os.stat(path).st_mtime
    except OSError:
        return False  # the model is there, so its file is needed no more
    match = re.fullmatch(r"(.{19})(?:\.\d+)?(Z|[+-]\d\d:\d\d)", made)
    if not match:
        return True
    return written >= datetime.fromisoformat(match[1] + match[2].replace("Z", "+00:00")).timestamp()
