# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small text files, read and written whole. Private to this collection."""

from __future__ import annotations

import os
import tempfile

__all__ = ["read", "replace"]


def read(path: str) -> str | None:
    """Return the text of a file, or None if there is none."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def replace(path: str, text: str, mode: int) -> None:
    """Replace a file as a whole; it is never wider than ``mode``.

    A reader, or a box that loses power, sees the old or the new text.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=os.path.dirname(path))
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
