# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the models of this scenario come from."""

from __future__ import annotations

import pytest

from tests.rig import model_registry


@pytest.fixture(scope="session")
def mirror() -> str:
    return model_registry.mirror().url
