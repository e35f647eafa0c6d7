# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The images of one box. Private to this collection.

::

    decide      a reference, its recipe and what was seen become a Task   (pure)
    words       what is said: pulls in percent, the end of a build, the cure   (pure)
    engine      the engine's images: find, pull, load, save, take
    build       an image out of distribution and language packages
    apply       look, decide, and make all images present
"""
