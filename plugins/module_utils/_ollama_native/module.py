# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The body of the module ollama_native: look, plan, carry out. Private to this collection."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._ollama_native import (
    apply,
    paths,
    unit,
    versions,
)
from ansible_collections.gpubox.llm.plugins.module_utils._ollama_native.archive import check_source
from ansible_collections.gpubox.llm.plugins.module_utils._ollama_native.look import Seen, look
from ansible_collections.gpubox.llm.plugins.module_utils._ollama_native.plan import (
    Plan,
    Wanted,
    absent,
    present,
    shown,
)
from ansible_collections.gpubox.llm.plugins.module_utils._runner import Outcome, Task, TaskError

__all__ = ["act"]


def act(task: Task) -> Outcome:
    """Be the module, for either state."""
    return _present(task) if task.params["state"] == "present" else _absent(task)


def _present(task: Task) -> Outcome:
    params = task.params
    _check_version(params["version"], params["allow_insecure_version"])
    archives = [check_source(item["source"], item["checksum"]) for item in params["archives"]]
    environment = _environment(params["environment"])
    seen = look()
    wanted = Wanted(
        params["version"],
        archives,
        environment,
        _models(params["models_dir"], seen),
        _port(params["port"]),
    )
    plan = present(seen, wanted, own_models=apply.foreign_models(wanted.models))
    _check_plan(plan, wanted, params["installed"])
    before, after = shown(seen, plan, wanted.version)
    result = _result(seen, wanted, plan)
    if plan.packages and not task.check_mode:
        return Outcome(False, {**result, "actions": [], "install": list(plan.packages)})
    if not (task.check_mode or seen.bridge.there):
        raise TaskError(
            f"Docker's default bridge {seen.bridge.name} is not on this box, and Ollama is to listen there, where "
            "containers reach it. Let docker_host set up the engine first; with Docker Desktop, or with the bridge "
            "switched off in daemon.json, use ollama_placement: container."
        )
    if plan.actions:
        task.apply(lambda: apply.converge(task, seen, wanted, plan), None)
    return Outcome(bool(plan.actions), result, before, after)


def _absent(task: Task) -> Outcome:
    keep, seen = task.params["keep_models"], look()
    mine = bool(seen.state.get("checksums"))
    found = [paths.BINARY, paths.LIBRARY] if mine else []
    found += [paths.KEPT, paths.STAGED, paths.DOWNLOADS]
    if not (keep and set(seen.state) == {"account"}):
        found.append(paths.STATE)
    if not keep:
        last = unit.variables(seen.texts[paths.SETTINGS] or "").get("OLLAMA_MODELS")
        models = _models(task.params["models_dir"] or last, seen)
        apply.foreign_models(models)  # refuses a directory that holds something else
        found.append(models)
    plan = absent(seen, [path for path in found if os.path.lexists(path)], keep_models=keep)
    before, after = shown(seen, plan, "")
    if plan.actions:
        task.apply(lambda: apply.retire(seen, plan), None)
    return Outcome(bool(plan.actions), {"actions": plan.actions, "install": []}, before, after)


def _check_version(version: str, allowed: bool) -> None:
    try:
        faults = versions.faults(version)
    except ValueError as error:
        raise TaskError(
            f"version: {error}. Name a release, as https://github.com/ollama/ollama/releases does."
        ) from None
    if faults and not allowed:
        raise TaskError(
            f"version: Ollama {version} is not installed: {'; '.join(faults)}. Use {versions.FLOOR} or newer."
        )


def _environment(given: Mapping[str, Any]) -> dict[str, str]:
    texts = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in given.items()
        if value is not None
    }
    unit.check(texts)
    return texts


def _models(given: str | None, seen: Seen) -> str:
    """The directory asked for, or that of an existing unit, or the usual one."""
    path = given or seen.inherited.get("OLLAMA_MODELS") or paths.MODELS
    if not re.fullmatch(r"/[^\n\"\\$`]+", path):
        raise TaskError(
            f"models_dir: {path!r} is no absolute path that a unit can name. Name another directory."
        )
    return os.path.normpath(path)


def _port(port: int) -> int:
    if not 1024 <= port <= 65535:
        raise TaskError(
            f"port: {port} cannot be used: the service is not root. Choose one from 1024 to 65535."
        )
    return port


def _check_plan(plan: Plan, wanted: Wanted, installed: bool) -> None:
    if plan.packages and installed:
        raise TaskError(
            f"still missing after their installation: {', '.join(plan.packages)}. Install "
            "them with the box's package manager."
        )
    if plan.install and not wanted.archives:
        raise TaskError(
            f"archives: Ollama {wanted.version} is not on the box, and no archive with its checksum is named. Set "
            "ollama_archive_checksum, and ollama_archive unless it comes from the vendor's release page."
        )


def _result(seen: Seen, wanted: Wanted, plan: Plan) -> dict[str, Any]:
    mine: Sequence[str] = [*wanted.environment, "OLLAMA_HOST", "OLLAMA_MODELS"]
    return {
        "actions": plan.actions,
        "install": [],
        "address": seen.bridge.address,
        "url": f"http://{seen.bridge.address}:{wanted.port}",
        "version": wanted.version,
        "models_dir": wanted.models,
        "adopted": {name: value for name, value in seen.inherited.items() if name not in mine},
    }
