#!/usr/bin/env python
# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A scenario's inventory: the rig's host of its name, or the one that a test asks for; empty while it is not there."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

HERE = Path(__file__)  # the scenario's link to this file: molecule/<scenario>/inventory/hosts.py
sys.path.insert(0, str(HERE.resolve().parents[2]))

from tests.rig.host import Host  # noqa: E402  found by the line above

name = os.environ.get("RIG_HOST", HERE.absolute().parents[1].name)
print(json.dumps(Host(name).inventory()))
