# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shows the images' progress, and stays on the controller where there is nothing to do on the box."""

from __future__ import annotations

from typing import Any

from ansible.utils.display import Display
from ansible_collections.gpubox.llm.plugins.module_utils._images.decide import refusals
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
