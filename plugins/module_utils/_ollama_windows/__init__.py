# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ollama on the Windows side of WSL 2. Private to this collection.

::

    candidates  where it may be, and what a failure there means   (pure)
    probe       asks, from inside a container and from the box
    module      the module's body
"""
