# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ollama_model_info reports, of servers of both kinds: with capabilities in their list and without."""

from __future__ import annotations

import pytest
from ansible_collections.gpubox.llm.plugins.module_utils._http import Http
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.client import Ollama
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.info import report
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.names import Name
from ansible_collections.gpubox.llm.plugins.module_utils._runner import Task, TaskError
from ansible_collections.gpubox.llm.plugins.modules import ollama_model_info

from tests.unit.fakes.faults import Fault
from tests.unit.fakes.ollama import FakeOllama
from tests.unit.fakes.registry import FakeRegistry

OLD, NEW = "0.13.5", "0.35.0"


def server(version: str) -> tuple[FakeOllama, Ollama]:
    """A server with two models, of which one is in memory, three quarters of it on the GPU."""
    registry = FakeRegistry()
    fake = FakeOllama({"registry.ollama.ai": registry}, version=version)
    client = Ollama(Http("http://ollama:11434", fake))
    for name in ("one", "team/two:v1"):
        registry.push(name)
        list(client.pull(Name.parse(name)))
    fake.memory.gpu_share = 0.75
    client.load(Name.parse("one"), -1)
    fake.asked.clear()
    return fake, client


def silent(text: str) -> None:
    raise AssertionError(text)


@pytest.mark.parametrize("version", [OLD, NEW])
def test_a_server_is_reported_with_all_its_models(version: str) -> None:
    fake, client = server(version)
    found = report(client, silent)
    assert found["version"] == version
    one, two = sorted(found["models"], key=lambda model: str(model["name"]))
    assert (one["name"], two["name"]) == ("one:latest", "team/two:v1")
    assert one["digest"] == f"sha256:{fake.names['one:latest']}"
    assert (one["family"], one["quantization"]) == ("llama", "F16")
    assert one["capabilities"] == two["capabilities"] == ["completion"]
    assert one["size"] > 4096


def test_what_is_in_memory_says_how_much_of_it_is_on_the_gpu() -> None:
    _fake, client = server(NEW)
    one, two = sorted(report(client, silent)["models"], key=lambda model: str(model["name"]))
    assert two["loaded"] is None
    assert one["loaded"]["gpu_percent"] == 75
    assert one["loaded"]["gpu_size"] == one["loaded"]["size"] * 3 // 4
    assert one["loaded"]["context"] == 4096


def test_only_an_old_server_is_asked_for_each_model() -> None:
    fake, client = server(NEW)
    report(client, silent)
    assert (len(fake.asked), fake.count("POST")) == (3, 0)
    fake, client = server(OLD)
    report(client, silent)
    assert fake.count("POST", "/api/show") == 2


def test_a_model_that_cannot_be_looked_at_is_reported_without_its_capabilities() -> None:
    fake, client = server(OLD)
    fake.faults.append(Fault("/api/show", status=500, text="unexpected EOF", times=1))
    warnings: list[str] = []
    found = report(client, warnings.append)
    assert sorted(model["capabilities"] for model in found["models"]) == [[], ["completion"]]
    assert "unexpected EOF" in warnings[0]


def test_a_container_that_does_not_run_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ollama_model_info, "address", lambda container: None)
    with pytest.raises(TaskError, match="no running container gpubox-ollama-1"):
        ollama_model_info.act(Task({"url": None, "container": "gpubox-ollama-1"}))
