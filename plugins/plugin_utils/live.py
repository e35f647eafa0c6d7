# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An action that shows what its module is doing while it does it. Private to this collection.

The module appends lines to a file on the target (``module_utils/_progress.py``); a thread follows that file over the
task's own connection. A run that is over before the first look costs no extra call to the target.
"""

from __future__ import annotations

import contextvars
import os
import re
import sys
import threading
import time
import uuid
from collections.abc import Iterable
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.gpubox.llm.plugins.module_utils._progress import (
    FIRST_LOOK_SECONDS,
    MARK,
)

__all__ = ["LiveAction", "Screen"]

LOOK_EVERY_SECONDS = 1.0
LIST_EVERY_SECONDS = 15.0
LONGEST_BLOCK = 12
# Looked at here, because a task runs in a process that has no terminal any more; what it displays still gets there.
ON_TERMINAL = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"

# The texts come from the box, and from servers that it asked: none may steer the terminal.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class LiveAction(ActionBase):
    """Runs the module of the same name; subclasses say with which arguments."""

    def arguments(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """The module's arguments; secrets that belong to no task argument are added here."""
        return dict(self._task.args)

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Run the module and follow it, unless its argument ``progress`` is false."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        arguments = self.arguments(variables)
        if boolean(arguments.get("progress", True), strict=False):
            result = self._followed(arguments, variables)
        else:
            result = self._execute_module(module_args=arguments, task_vars=task_vars)
        result.pop("invocation", None)  # it repeats the arguments, secrets among them
        closing = arguments.get("closing_message")
        if closing and not result.get("failed") and not self._task.check_mode:
            Display().display(f"\n{closing}")
        return result

    def _followed(self, arguments: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        alone = len(variables.get("ansible_play_batch", ())) <= 1  # nobody else draws
        follower = _Follower(self, Screen(in_place=ON_TERMINAL and alone))
        result: dict[str, Any] = {}
        try:
            result = self._execute_module(
                module_args={**arguments, "progress_file": follower.path}, task_vars=variables
            )
        finally:
            follower.finish(
                worked=not result or bool(result.get("changed") or result.get("failed"))
            )
        return result


class Screen:
    """Shows lines as they come, and the last state of each thing that goes on.

    ``in_place`` draws the states again and again below the lines. Otherwise they become lines themselves: at once,
    and then not before ``LIST_EVERY_SECONDS`` have gone by.
    """

    def __init__(self, in_place: bool, display: Any = None) -> None:
        self._in_place = in_place
        self._display = display or Display()
        self._states: dict[str, str] = {}
        self._listed: dict[str, float] = {}
        self._drawn = 0

    def take(self, lines: Iterable[str]) -> None:
        """Show what the module has written since the last look."""
        ended = []
        touched = False
        for line in lines:
            kind, key, text = _parse(line)
            if kind == "live":
                self._states[key] = text
            else:
                self._states.pop(key, None)
                ended.append(text)
            touched = True
        if touched and self._in_place:
            self._draw(ended)
        elif touched:
            self._list(ended)

    def _draw(self, ended: list[str]) -> None:
        block = list(self._states.values())[:LONGEST_BLOCK]
        if not block and not self._drawn:
            for text in ended:
                self._display.display(text)
            return
        # Over the old block: to its first line, clear from there, write; a line that is too long is not wrapped.
        over = f"\x1b[{self._drawn}A" if self._drawn else ""
        text = "".join(f"{line}\n" for line in (*ended, *block))
        self._display.display(
            f"{over}\x1b[J\x1b[?7l{text}\x1b[?7h", screen_only=True, newline=False
        )
        for line in ended:
            self._display.display(line, log_only=True)
        self._drawn = len(block)

    def _list(self, ended: list[str]) -> None:
        now = time.monotonic()
        for text in ended:
            self._display.display(text)
        for key, text in self._states.items():
            if now - self._listed.get(key, -LIST_EVERY_SECONDS) >= LIST_EVERY_SECONDS:
                self._listed[key] = now
                self._display.display(text)


def _parse(line: str) -> tuple[str, str, str]:
    """Kind, key and text of a line of the progress file; a line without marks is only text."""
    parts = [_CONTROL.sub(" ", part) for part in line.split(MARK, 4)]
    if len(parts) < 5:  # also a line that was never finished
        return "said", "", f"  {' '.join(parts)}"
    _unused, kind, seconds, key, text = parts
    return kind, key, f"  {seconds:>4} s  {key}: {text}"


class _Follower:
    """Shows every new line of a file on the target until it is told to finish."""

    def __init__(self, action: LiveAction, screen: Screen) -> None:
        # The name cannot be guessed, and the module creates the file itself with mode 0600.
        self.path = f"/tmp/gpubox-{uuid.uuid4().hex}.progress"  # noqa: S108 - see the line above
        self._action = action
        self._screen = screen
        self._done = threading.Event()
        self._seen = 0
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
            Display().vvv(f"progress not shown: {error}")
            return
        text = text.replace("\r\n", "\n")  # a connection with a terminal makes these of line ends
        whole = text[: text.rfind("\n") + 1] if not then else text
        self._seen += len(whole.encode())
        self._screen.take(whole.splitlines())
