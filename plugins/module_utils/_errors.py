# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Errors that are told apart where what raises them is not imported. Private to this collection."""

from __future__ import annotations

__all__ = ["EngineError"]


class EngineError(RuntimeError):
    """The engine cannot be used; the message says why and what to do."""
