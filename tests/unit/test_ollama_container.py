# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The container in which an Ollama runs, as the engine describes it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gpubox.llm.plugins.module_utils._ollama import container


def described(**changes: Any) -> dict[str, Any]:
    return {
        "Config": {"Image": "ollama/ollama:1", "Env": ["OLLAMA_HOST=0.0.0.0:11434"]},
        "NetworkSettings": {"Networks": {"model": {"IPAddress": "172.20.0.2"}}},
        **changes,
    }


@pytest.mark.parametrize(
    ("image", "url"),
    [
        ("", "http://172.20.0.2:11434"),
        ("ollama/ollama:1", "http://172.20.0.2:11434"),
        ("ollama/ollama:2", None),  # it is about to be replaced
    ],
)
def test_it_counts_only_with_the_image_that_is_wanted(
    image: str, url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "_running", lambda _name: described())
    assert container.address("gpubox-ollama-1", image) == url


def test_one_that_does_not_run_has_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "_running", lambda _name: None)
    assert container.address("gpubox-ollama-1") is None
