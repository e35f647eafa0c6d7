# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All services of one box. Private to this collection.

::

    service     a definition becomes a Service; a Service and what was seen become a Step   (pure)
    home        the stack's directory: generations, secrets, the compose file, the lock
    engine      Docker: reads through the SDK, changes containers through Compose
    plan        looks at home and engine, and says what has to happen                       (reads)
    preflight   what can be refused before the first change                                 (reads)
    apply       carries a plan out, goes back when it fails, takes the stack down
"""
