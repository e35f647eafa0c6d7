# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for another run of this box. Private to this collection."""

from __future__ import annotations

import fcntl
import time
from typing import Callable

__all__ = ["acquire"]

SAY_EVERY_SECONDS = 15


def acquire(descriptor: int, seconds: int, waiting: Callable[[float], None]) -> bool:
    """Take the lock of an open file; False if another process has held it for ``seconds``.

    ``waiting`` is called at once and then every 15 s, with the seconds that went by.
    """
    started, say_at = time.monotonic(), 0.0
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            waited = time.monotonic() - started
        if waited > seconds:
            return False
        if waited >= say_at:
            waiting(waited)
            say_at = waited + SAY_EVERY_SECONDS
        time.sleep(0.5)
