# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which versions of Ollama are refused, and why. Pure; private to this collection."""

from __future__ import annotations

import re

__all__ = ["FLOOR", "faults", "key"]

FLOOR = "0.35.0"
# First bad version, first good one, what it is.
KNOWN = (
    ("0.0.0", "0.1.34", "CVE-2024-37032 (a pulled model writes files anywhere and runs code)"),
    ("0.0.0", "0.1.47", "CVE-2024-45436 (a model archive writes files outside its directory)"),
    ("0.0.0", "0.17.1", "CVE-2026-7482 (memory of the server, with keys in it, leaks to anybody)"),
    ("0.34.2", "0.35.0", "CVE-2026-103663 (a pulled model writes files anywhere and runs code)"),
)


def key(version: str) -> tuple[int, ...]:
    """Order versions; a release candidate comes before its release. Raises ValueError for what is none."""
    match = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)(-rc\d*)?", version)
    if not match:
        raise ValueError(f"{version!r} is no version of Ollama such as {FLOOR}")
    return (*(int(part) for part in match.groups()[:3]), 0 if match[4] else 1)


def faults(version: str) -> list[str]:
    """Say what is known against a version; empty for one that is good enough."""
    if key(version) >= key(FLOOR):
        return []
    known = [text for bad, good, text in KNOWN if key(bad) <= key(version) < key(good)]
    return known or [f"it is older than {FLOOR}, the first version without a known hole"]
