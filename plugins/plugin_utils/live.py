# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An action that shows what its module is doing while it does it. Private to this collection.

The module appends lines to a file on the target (``module_utils/_progress.py``); a thread follows that file over the
task's own connection. A run that is over before the first look costs no extra call to the target.
"""

from __future__ import annotations

import contextvars
import threading
import time
import uuid
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

__all__ = ["LiveAction"]

FIRST_LOOK_SECONDS = 1.5
LOOK_EVERY_SECONDS = 1.0


class LiveAction(ActionBase):
    """Runs the module of the same name; subclasses say with which arguments."""

    def arguments(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """The module's arguments; secrets that belong to no task argument are added here."""
        return dict(self._task.args)

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Run the module and follow it."""
        super().run(tmp, task_vars)
        follower = _Follower(self)
        arguments = {**self.arguments(task_vars or {}), "progress_file": follower.path}
        result: dict[str, Any] = {}
        try:
            result = self._execute_module(module_args=arguments, task_vars=task_vars)
        finally:
            follower.finish(
                worked=not result or bool(result.get("changed") or result.get("failed"))
            )
        result.pop("invocation", None)  # it repeats the arguments, secrets among them
        return result


class _Follower:
    """Shows every new line of a file on the target until it is told to finish."""

    def __init__(self, action: LiveAction) -> None:
        # The name cannot be guessed, and the module creates the file itself with mode 0600.
        self.path = f"/tmp/gpubox-{uuid.uuid4().hex}.progress"  # noqa: S108 - see the line above
        self._action = action
        self._done = threading.Event()
        self._seen = 0
        self._display = Display()
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._follow,), daemon=True)
        self._started = time.monotonic()
        self._thread.start()

    def finish(self, worked: bool) -> None:
        """Show what is left and remove the file; a module that was quick and did nothing made none."""
        self._done.set()
        self._thread.join()
        if worked or time.monotonic() - self._started > FIRST_LOOK_SECONDS:
            self._look(f"; rm -f {self.path}")

    def _follow(self) -> None:
        wait = FIRST_LOOK_SECONDS
        while not self._done.wait(wait):
            self._look()
            wait = LOOK_EVERY_SECONDS

    def _look(self, then: str = "") -> None:
        command = f"tail -c +{self._seen + 1} {self.path} 2>/dev/null{then}; true"
        try:
            text = self._action._low_level_execute_command(command).get("stdout", "")
        except (
            Exception
        ) as error:  # whatever the connection raises: showing progress must not end the work
            self._display.vvv(f"progress not shown: {error}")
            return
        whole = text[: text.rfind("\n") + 1] if not then else text
        self._seen += len(whole.encode())
        for line in whole.splitlines():
            self._display.display(f"  {line}")
