# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shows the images' progress, and stays on the controller where there is nothing to do on the box."""

from __future__ import annotations

from typing import Any

from ansible.utils.display import Display
from ansible_collections.gpubox.llm.plugins.module_utils._images.decide import (
    LABEL,
    Found,
    Recipe,
    refusals,
)
from ansible_collections.gpubox.llm.plugins.plugin_utils.live import LiveAction


class ActionModule(LiveAction):
    """Checks versions for every mode; calls the module unless Compose pulls the images itself."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Refuse bad versions; then the module's result, after one line that says what was done."""
        args = self._task.args
        wanted = args.get("images") or []
        faults = refusals(wanted, args.get("recipes") or {}, args.get("refused") or [])
        if faults:
            return {"failed": True, "msg": "\n".join(faults)}
        if not wanted or args.get("mode") == "registry":
            return {"changed": False, "images": {}, "rebuilt": []}
        result: dict[str, Any] = {"changed": False, "rebuilt": []}
        if _all_there(args):
            result["images"] = {name: {"action": "present"} for name in wanted}
        else:
            result = super().run(tmp, task_vars)
        if result.get("images"):
            host = (task_vars or {}).get("inventory_hostname", "")
            said = ", ".join(
                f"{name} {image['action']}" for name, image in result["images"].items()
            )
            Display().display(
                f"  {host}: {'in a real run: ' if self._task.check_mode else ''}{said}"
            )
        return result


def _all_there(args: dict[str, Any]) -> bool:
    """Whether the images that a task before has seen are all that is wanted: then no call is needed."""
    known, recipes = args.get("known") or {}, args.get("recipes") or {}
    if args.get("archive_dir"):
        return False
    return all(
        reference in known
        and Found("there", known[reference].get(LABEL, "")).serves(
            Recipe.parse(reference, recipes[reference]) if reference in recipes else None
        )
        for reference in args["images"]
    )
