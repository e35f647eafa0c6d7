# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines that a long-running module shows while it works. Private to this collection.

A module cannot write to the user's terminal; it appends lines to a file that its action plugin follows
(``plugin_utils/live.py``), which also removes it. A line is text, or the state of one of several things that go on at
once: then it begins with ``MARK``, and ``live.py`` shows the last state of each thing.
"""

from __future__ import annotations

import os
import time

__all__ = ["FIRST_LOOK_SECONDS", "MARK", "Progress"]

MARK = "\x1f"
STATE_EVERY_SECONDS = 0.5
# The action plugin looks into the file when this much time has gone by, or when something was changed.
FIRST_LOOK_SECONDS = 1.5


class Progress:
    """Appends one line per call to ``path``; without a path it is silent. Threads may share it."""

    def __init__(self, path: str | None = None) -> None:
        self._path = path
        self._started = time.monotonic()
        self._told: dict[str, float] = {}

    def say(self, line: str) -> None:
        """Show ``line`` after the seconds since the start; a line that cannot be written is no error."""
        self._append(f"{self._elapsed:4.0f} s  {line.rstrip()}")

    def state(self, key: str, text: str) -> None:
        """Show ``text`` as what ``key`` is about now. May be called often: twice a second it is written."""
        now = time.monotonic()
        if now - self._told.get(key, now - STATE_EVERY_SECONDS) >= STATE_EVERY_SECONDS:
            self._told[key] = now
            self._mark("live", key, text)

    def done(self, key: str, text: str) -> None:
        """Show ``text`` as the end of ``key``."""
        self._told.pop(key, None)
        self._mark("done", key, text)

    def end(self, changed: bool) -> None:
        """Remove the file where the action plugin will not look for it."""
        if self._path and not changed and self._elapsed < FIRST_LOOK_SECONDS:
            try:
                os.unlink(self._path)
            except OSError:
                self._path = None

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._started

    def _mark(self, kind: str, key: str, text: str) -> None:
        words = (" ".join(word.split()) for word in (key, text))  # MARK is white space, too
        self._append(MARK.join(["", kind, f"{self._elapsed:.0f}", *words]))

    def _append(self, line: str) -> None:
        if not self._path:
            return
        try:
            descriptor = os.open(
                self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600
            )
            with os.fdopen(descriptor, "a", encoding="utf-8") as stream:
                stream.write(f"{line}\n")
        except OSError:
            self._path = None
