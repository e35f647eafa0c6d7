# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real models answer through the proxy, and Ollama stays where it is: alone with LiteLLM, without a way out."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from openai import OpenAI

    from tests.rig.box import Box

HELLO = [{"role": "user", "content": "Hello"}]
STEP = re.compile(r"\b(ollama|litellm|reverse_proxy): (create|recreate|reload|start)\b")


def ollama(box: Box, path: str, **body: Any) -> dict[str, Any]:
    """What Ollama answers to the box itself."""
    networks = box.containers()["ollama"]["NetworkSettings"]["Networks"]
    (address,) = (network["IPAddress"] for network in networks.values())
    data = f"--data '{json.dumps(body)}'" if body else ""
    answer: dict[str, Any] = json.loads(
        box.host.sh(f"curl -sf http://{address}:11434{path} {data}")
    )
    return answer


def models(box: Box) -> dict[str, str]:
    """Digest by name of the models that Ollama has."""
    return {model["name"]: model["digest"] for model in ollama(box, "/api/tags")["models"]}


@pytest.fixture(scope="module")
def declared(box: Box) -> list[dict[str, Any]]:
    scenario = box.inventory / "group_vars" / "all" / "scenario.yml"
    listed: list[dict[str, Any]] = yaml.safe_load(scenario.read_text())["llm_models"]
    return listed


def with_models(listed: list[dict[str, Any]], *more: dict[str, Any]) -> tuple[str, str]:
    return "--extra-vars", json.dumps({"llm_models": [*listed, *more]})


def test_a_model_answers(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="small", messages=HELLO, max_tokens=8)
    assert answer.usage
    assert answer.usage.completion_tokens > 0
    assert answer.choices[0].finish_reason in {"length", "stop"}


def test_a_model_streams(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="brief", messages=HELLO, max_tokens=16, stream=True
    )
    assert len(list(stream)) > 2


def test_a_model_embeds(client: OpenAI) -> None:
    answer = client.embeddings.create(model="embed", input=["one", "two"], encoding_format="float")
    assert [len(item.embedding) for item in answer.data] == [64, 64]


def test_it_is_loaded_with_the_context_that_was_declared(box: Box, client: OpenAI) -> None:
    client.chat.completions.create(model="small", messages=HELLO, max_tokens=1)
    loaded = {model["name"]: model for model in ollama(box, "/api/ps")["models"]}
    assert loaded["tiny:latest"]["context_length"] == 512


def test_there_are_the_declared_models_and_no_other(box: Box) -> None:
    assert set(models(box)) == {"tiny:latest", "tiny-embed:latest", "brief:latest"}


def test_ollama_is_alone_with_litellm(box: Box) -> None:
    containers = box.containers()
    assert list(containers["ollama"]["NetworkSettings"]["Networks"]) == ["gpubox_model"]
    network = json.loads(box.host.sh("docker network inspect gpubox_model"))[0]
    assert network["Internal"]
    there = {container["Name"] for container in network["Containers"].values()}
    assert there == {"gpubox-ollama-1", "gpubox-litellm-1"}


def test_ollama_has_no_way_out(box: Box, mirror: str) -> None:
    """The box reaches the mirror; from where Ollama is, nobody does."""
    ask = f"curl -sk --max-time 3 -o /dev/null -w '%{{http_code}}' {mirror}/v2/ || true"
    assert box.host.sh(ask) == "200"
    pid = box.containers()["ollama"]["State"]["Pid"]
    assert box.host.sh(f"nsenter --target {pid} --net {ask}") == "000"


def test_a_model_more_touches_litellm_alone(
    box: Box, client: OpenAI, declared: list[dict[str, Any]]
) -> None:
    lives, before = box.lives(), models(box)
    more = with_models(declared, {"name": "third", "provider": "ollama", "model": "tiny:brief"})

    predicted = box.converge("--check", "--diff", "--tags", "models", *more)
    assert (box.lives(), models(box)) == (lives, before)
    real = box.converge("--diff", "--tags", "models", *more)
    assert real.changed == predicted.changed == 2
    assert set(STEP.findall(real.output)) == {("litellm", "recreate")}
    after = box.lives()
    assert {name for name in lives if after[name] != lives[name]} == {"litellm"}
    assert "tiny:brief" in models(box)
    answer = client.chat.completions.create(model="third", messages=HELLO, max_tokens=4)
    assert answer.usage

    assert box.converge("--tags", "models").changed == 1, "LiteLLM forgets it, Ollama keeps it"
    removed = {"ollama_models": [{"name": "tiny:brief", "state": "absent"}]}
    gone = box.converge("--tags", "models", "--extra-vars", json.dumps(removed))
    assert gone.changed == 1
    assert models(box) == before


def test_with_nothing_to_do_models_cost_two_calls(box: Box) -> None:
    run = box.converge("--tags", "models", "-vvv")
    assert run.changed == 0
    called = re.findall(r"Using module file \S+/(\w+)\.py", run.output)
    assert called == ["ollama_model", "stack"]


def test_a_pin_that_the_registry_does_not_have_ends_the_run(
    box: Box, declared: list[dict[str, Any]]
) -> None:
    lives, before = box.lives(), models(box)
    wrong = "1" * 64
    model = {"name": "pinned", "provider": "ollama", "model": "tiny:brief", "digest": wrong}
    run = box.run("--tags", "models", *with_models(declared, model))
    assert run.code != 0
    assert wrong in run.output
    assert re.search(r"tiny:brief.*[0-9a-f]{64}", run.output, re.DOTALL)
    assert (box.lives(), models(box)) == (lives, before)


def test_no_puller_is_left(box: Box) -> None:
    assert "puller" not in box.host.sh("docker ps -a --format '{{.Names}}'")
