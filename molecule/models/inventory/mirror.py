#!/usr/bin/env python
# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The scenario's mirror of models: its port depends on the checkout."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.rig import model_registry

variables = {"ollama_registry_mirror": model_registry.mirror().url}
print(json.dumps({"all": {"vars": variables}, "_meta": {"hostvars": {}}}))
