# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run of ollama_model returns. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._ollama.client import Model
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.names import Name
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.plan import MAKING, State, Step
from ansible_collections.gpubox.llm.plugins.module_utils._runner import Outcome

__all__ = ["outcome"]


def outcome(
    steps: Sequence[Step],
    state: State,
    after: Mapping[Name, Model] | None,
    said: Mapping[str, Any],
) -> Outcome:
    """From the plan and, after a real run, from what the server has then."""
    models = [_model(step, state, after) for step in steps]
    return Outcome(
        changed=any(model["action"] != "none" for model in models),
        result={"models": models, **said},
        before=_side({str(step.name): step.shown(step.change.before) for step in steps}),
        after=_side({str(step.name): step.shown(step.change.after) for step in steps}),
    )


def _side(shown: Mapping[str, str | None]) -> dict[str, str]:
    return {name: text for name, text in sorted(shown.items()) if text is not None}


def _model(step: Step, state: State, after: Mapping[Name, Model] | None) -> dict[str, Any]:
    action, name = step.action, step.name
    there = (state.models if after is None else after).get(name)
    digest, size = (f"sha256:{there.digest}", there.size) if there else ("", 0)
    if after is None and action in MAKING:
        planned, manifest = str(step.change.updates["digest"]), state.manifests.get(name)
        digest = planned if planned.startswith("sha256:") else ""
        size = manifest.size if manifest else 0
    if action == "delete":
        digest, size = "", 0
    if after is not None and action in MAKING and digest == f"sha256:{state.digest(name)}":
        action = "none"  # somebody else was faster, or what was made is what was there
    return {"name": str(name), "digest": digest, "size": size, "action": action}
