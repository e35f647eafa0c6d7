# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines that a long-running module shows while it works. Private to this collection.

A module cannot write to the user's terminal; it appends lines to a file that its action plugin follows
(``plugin_utils/live.py``), which also removes it.
"""

from __future__ import annotations

import os
import time

__all__ = ["Progress"]


class Progress:
    """Appends one line per call to ``path``; without a path it is silent."""

    def __init__(self, path: str | None = None) -> None:
        self._path = path
        self._started = time.monotonic()

    def say(self, line: str) -> None:
        """Show ``line`` after the seconds since the start; a line that cannot be written is no error."""
        if not self._path:
            return
        elapsed = time.monotonic() - self._started
        try:
            descriptor = os.open(
                self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600
            )
            with os.fdopen(descriptor, "a", encoding="utf-8") as stream:
                stream.write(f"{elapsed:4.0f} s  {line.rstrip()}\n")
        except OSError:
            self._path = None
