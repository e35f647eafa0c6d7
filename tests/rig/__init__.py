# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tests on the real thing stand on: test hosts, a registry, small images, a second Compose."""

from __future__ import annotations

import sys
from pathlib import Path

# What the rig makes is read by the collection's own code, also where pytest has not told Python of it.
sys.path.append(str(Path(__file__).parents[2] / "collections"))
