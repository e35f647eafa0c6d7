# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of the module stack: secrets by name, and progress.

Definitions name the variables that hold secrets; their values are looked up here and travel as one
``no_log`` option, so that no fact, diff or log ever holds them.
"""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleUndefinedVariable
from ansible.template import trust_as_template
from ansible.utils.display import Display
from ansible_collections.gpubox.llm.plugins.plugin_utils.live import LiveAction


class ActionModule(LiveAction):
    """Hand the definitions over with their secrets."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Run the module; in check mode, where nothing reports progress, show the plan."""
        result = super().run(tmp, task_vars)
        if self._task.check_mode:
            for line in result.get("plan", []):
                Display().display(f"  {line}")
        return result

    def arguments(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """The task's arguments and the values of the secrets that the definitions name."""
        arguments = super().arguments(task_vars)
        secrets = dict(arguments.get("secrets") or {})
        for name, definition in (arguments.get("services") or {}).items():
            for file, source in (definition.get("secrets") or {}).items():
                value = self._value(source.get("variable"))
                if value not in (None, ""):
                    secrets[f"{name}/{file}"] = str(value)
        return {**arguments, "secrets": secrets}

    def _value(self, expression: str | None) -> Any:
        if not expression:
            return None
        try:
            return self._templar.evaluate_expression(trust_as_template(expression))
        except AnsibleUndefinedVariable:
            return None
        except Exception as error:
            raise AnsibleActionFail(
                f"the variable {expression} cannot be read: {type(error).__name__}"
            ) from None
