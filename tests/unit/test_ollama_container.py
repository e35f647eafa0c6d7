# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The container in which an Ollama runs, as the engine describes it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gpubox.llm.plugins.module_utils._errors import EngineError
from ansible_collections.gpubox.llm.plugins.module_utils._http import ConnectError
from ansible_collections.gpubox.llm.plugins.module_utils._ollama import container, task

from tests.unit.ollama_world import World


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


def test_check_mode_takes_a_server_that_is_not_there_yet_for_an_empty_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(task, "SERVER_SECONDS", 0)
    world = World("base:1")
    predicted = world.run("base:1", url="http://not-there-yet:11434", check=True)
    assert [(model["name"], model["action"]) for model in predicted.result["models"]] == [
        ("base:1", "pull")
    ]
    assert predicted.result["deferred"] is True
    assert "not-there-yet" in world.warnings[0]
    with pytest.raises(ConnectError, match="not-there-yet"):
        world.run("base:1", url="http://not-there-yet:11434")


def test_a_box_without_the_sdk_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "docker", None)
    monkeypatch.setattr(container, "client", lambda _seconds: None)
    with pytest.raises(EngineError):
        container.address("gpubox-ollama-1")
