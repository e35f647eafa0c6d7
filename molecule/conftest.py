# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures of the checks that every scenario's box goes through."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from openai import OpenAI

from tests.rig.box import Box
from tests.rig.host import Host

if TYPE_CHECKING:
    from collections.abc import Iterator

SCENARIO = os.environ["MOLECULE_SCENARIO_NAME"]
EXTRA_SERVICES = {"models": {"ollama": 11434}}


@pytest.fixture(scope="session")
def box() -> Box:
    return Box(Host(SCENARIO), Path(__file__).parent / SCENARIO / "inventory")


@pytest.fixture(scope="session")
def services() -> dict[str, int]:
    """What has to run on the box, and the port on which each answers inside."""
    return {"litellm": 4000, "reverse_proxy": 8080, **EXTRA_SERVICES.get(SCENARIO, {})}


@pytest.fixture(scope="session")
def master_key(box: Box) -> str:
    return box.secret("litellm_master_key")


@pytest.fixture(scope="module")
def url(box: Box) -> Iterator[str]:
    """The gateway's address as the user of the box sees it."""
    with box.tunnel() as address:
        yield address


@pytest.fixture
def client(url: str, master_key: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{url}/v1", api_key=master_key, max_retries=0, timeout=60) as client:
        yield client
