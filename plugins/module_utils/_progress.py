# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines that a long-running module shows while it works. Private to this collection.

A module cannot write to the user's terminal; it appends lines to a file that its action plugin follows.
"""

from __future__ import annotations

from typing import Optional

__all__ = ["Progress"]


class Progress:
    """Appends one line per call to ``path``; without a path it is silent."""

    def __init__(self, path: Optional[str] = None) -> None:
        self._path = path

    def say(self, line: str) -> None:
        """Show ``line``. Progress must never break the work, so a lost line is no error."""
        if not self._path:
            return
        try:
            with open(self._path, "a", encoding="utf-8") as stream:
                stream.write(line.rstrip() + "\n")
        except OSError:
            self._path = None
