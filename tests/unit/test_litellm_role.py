# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role litellm makes of the models that an inventory lists."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.repository import BIN, ROOT, options
from tests.unit.litellm_rendered import ROLE, config, secret, service

MOCK = {"name": "mock", "provider": "mock"}
KEY = "sk-canary-4711"


def params_of(model: dict[str, Any]) -> list[dict[str, Any]]:
    """LiteLLM's parameters of each deployment of the model."""
    entries = config(llm_models=[{"name": "m", **model}])["model_list"]
    assert {entry["model_name"] for entry in entries} == {"m"}
    return [entry["litellm_params"] for entry in entries]


FROM_FILE = "os.environ/LLM_MODELS_0_API_KEY"
ONE_DEPLOYMENT = {
    "a mock has an answer": (
        {"provider": "mock"},
        {"model": "openai/m", "api_key": "none", "mock_response": "This is a mock answer."},
    ),
    "a mock has its own answer": (
        {"provider": "mock", "mock_response": "{{ not }} 'a template'"},
        {"model": "openai/m", "api_key": "none", "mock_response": "{{ not }} 'a template'"},
    ),
    "openai": (
        {"provider": "openai", "model": "gpt-4o-mini", "api_key": KEY},
        {"model": "openai/gpt-4o-mini", "api_key": FROM_FILE},
    ),
    "anthropic": (
        {"provider": "anthropic", "model": "claude-sonnet-4-5", "api_key": KEY},
        {"model": "anthropic/claude-sonnet-4-5", "api_key": FROM_FILE},
    ),
    "azure": (
        {
            "provider": "azure",
            "model": "mine",
            "api_key": KEY,
            "base_url": "https://me.openai.azure.com",
            "api_version": "2024-10-21",
        },
        {
            "model": "azure/mine",
            "api_key": FROM_FILE,
            "api_base": "https://me.openai.azure.com",
            "api_version": "2024-10-21",
        },
    ),
    "groq": (
        {"provider": "groq", "model": "qwen3-32b", "api_key": KEY},
        {"model": "groq/qwen3-32b", "api_key": FROM_FILE},
    ),
    "ollama chats, loads the whole context and keeps it": (
        {"provider": "ollama", "model": "llama3.2:3b", "context": 8192, "keep_alive": "24h"},
        {
            "model": "ollama_chat/llama3.2:3b",
            "api_base": "http://ollama:11434",
            "num_ctx": 8192,
            "keep_alive": "24h",
        },
    ),
    "ollama embeds elsewhere": (
        {"provider": "ollama", "model": "nomic", "mode": "embedding", "base_url": "http://gpu2:1"},
        {"model": "ollama/nomic", "api_base": "http://gpu2:1"},
    ),
    "openai_compatible needs no key": (
        {"provider": "openai_compatible", "model": "qwen3", "base_url": "http://gpu1:8000/v1"},
        {
            "model": "openai/qwen3",
            "api_base": "http://gpu1:8000/v1",
            "api_key": "none",
            "use_chat_completions_api": True,
        },
    ),
    "litellm takes any provider with its own words, secrets as files": (
        {
            "provider": "litellm",
            "model": "bedrock/anthropic.claude-sonnet-4",
            "params": {"aws_region_name": "eu-west-1", "aws_secret_access_key": KEY},
        },
        {
            "model": "bedrock/anthropic.claude-sonnet-4",
            "aws_region_name": "eu-west-1",
            "aws_secret_access_key": "os.environ/LLM_MODELS_0_PARAMS_AWS_SECRET_ACCESS_KEY",
        },
    ),
    "limits, prices and what has no word of ours": (
        {
            "provider": "openai",
            "model": "x",
            "api_key": KEY,
            "timeout": 30,
            "rpm": 60,
            "tpm": 90000,
            "weight": 3,
            "order": 2,
            "input_cost_per_token": 1e-06,
            "output_cost_per_token": 2e-06,
            "params": {"keepalive_seconds": 15, "max_tokens": 5},
        },
        {
            "model": "openai/x",
            "api_key": FROM_FILE,
            "timeout": 30,
            "rpm": 60,
            "tpm": 90000,
            "weight": 3,
            "order": 2,
            "input_cost_per_token": 1e-06,
            "output_cost_per_token": 2e-06,
            "keepalive_seconds": 15,
            "max_tokens": 5,
        },
    ),
    "empty means not said": (
        {"provider": "ollama", "model": "x", "api_key": "", "timeout": None, "params": {}},
        {"model": "ollama_chat/x", "api_base": "http://ollama:11434"},
    ),
}


@pytest.mark.parametrize(("model", "expected"), ONE_DEPLOYMENT.values(), ids=ONE_DEPLOYMENT)
def test_a_provider_gets_what_it_needs(model: dict[str, Any], expected: dict[str, Any]) -> None:
    assert params_of(model) == [expected]


def test_what_a_model_says_holds_for_each_deployment_that_says_nothing_else() -> None:
    local = {"provider": "openai_compatible", "base_url": "http://gpu1:8000/v1", "model": "a"}
    cloud = {"provider": "groq", "model": "b", "api_key": KEY, "order": 2, "timeout": 5}
    first, second = params_of({"timeout": 60, "deployments": [local, cloud]})
    assert (first["timeout"], second["timeout"]) == (60, 5)
    assert (first["model"], second["model"]) == ("openai/a", "groq/b")
    assert "order" not in first
    assert second["api_key"] == "os.environ/LLM_MODELS_0_DEPLOYMENTS_1_API_KEY"


def test_every_secret_is_found_where_the_inventory_has_it_and_is_in_no_file() -> None:
    deployments = [
        {"provider": "groq", "model": "x", "api_key": f"{KEY}-1"},
        {"provider": "litellm", "model": "v/x", "params": {"vertex_credentials": f"{KEY}-2"}},
    ]
    models = [
        {"name": "a b/c", "provider": "openai", "model": "x", "api_key": f"{KEY}-0"},
        {"name": "d", "deployments": deployments},
        {"name": "e", "api_key": f"{KEY}-3", "deployments": [{"provider": "openai", "model": "x"}]},
    ]
    made = service(llm_models=models)
    secrets = {
        name: secret(source["variable"], llm_models=models)
        for name, source in made["secrets"].items()
        if name != "litellm_master_key"
    }
    assert sorted(secrets.values()) == [f"{KEY}-{number}" for number in range(4)]
    assert KEY not in json.dumps(made)
    for name in secrets:
        assert f"os.environ/{name.upper()}" in made["files"]["config.yaml"]


def test_the_master_key_is_made_on_the_box_and_kept_under_its_own_name() -> None:
    made = service(llm_models=[MOCK])
    assert made["secrets"] == {
        "litellm_master_key": {
            "name": "litellm_master_key",
            "variable": "litellm_master_key",
            "generate": {"length": 40, "prefix": "sk-"},
        }
    }
    general = yaml.safe_load(made["files"]["config.yaml"])["general_settings"]
    assert general["master_key"] == "os.environ/LITELLM_MASTER_KEY"


def test_a_default_model_is_served_and_it_is_the_first_where_none_is_named() -> None:
    models = [MOCK, {"name": "other", "provider": "mock"}]

    def alias(**variables: Any) -> Any:
        return config(llm_models=models, **variables)["router_settings"]["model_group_alias"]

    assert alias() == {"default": "mock"}
    assert alias(llm_default_model="other") == {"default": "other"}


def test_fallbacks_are_one_entry_for_each_model_that_has_some() -> None:
    models = [
        {**MOCK, "fallbacks": ["b", "c"]},
        {"name": "b", "provider": "mock", "fallbacks": []},
        {"name": "c", "provider": "mock", "fallbacks": ["b"]},
    ]
    settings = config(llm_models=models)["router_settings"]
    assert settings["fallbacks"] == [{"mock": ["b", "c"]}, {"c": ["b"]}]
    assert "default_fallbacks" not in settings


def test_routing_is_by_variable() -> None:
    settings = config(
        llm_models=[MOCK],
        litellm_routing_strategy="least-busy",
        litellm_retries=0,
        litellm_timeout_seconds=9,
        litellm_allowed_fails=7,
        litellm_cooldown_seconds=11,
    )["router_settings"]
    assert settings["routing_strategy"] == "least-busy"
    assert settings["num_retries"] == 0
    assert settings["timeout"] == 9
    assert settings["allowed_fails"] == 7
    assert settings["cooldown_time"] == 11


HOSTS = {
    "http://vllm:8000/v1": True,
    "http://10.1.2.3:8000/v1": True,
    "http://192.168.1.9/v1": True,
    "http://172.31.0.1/v1": True,
    "http://100.100.0.1/v1": True,
    "http://[fd00::5]:8000/v1": True,
    "http://nas.home.arpa/v1": True,
    "http://host.docker.internal:11434": True,
    "http://172.32.0.1/v1": False,
    "http://11.1.2.3/v1": False,
    "http://[2a00::5]/v1": False,
    "http://10.evil.example/v1": False,
    "https://api.example.com/v1": False,
    "https://local.example.com/v1": False,
}


@pytest.mark.parametrize(("url", "local"), HOSTS.items())
def test_a_deployment_is_local_only_where_its_address_surely_is(url: str, local: bool) -> None:
    model = {"name": "m", "provider": "openai_compatible", "model": "x", "base_url": url}
    (entry,) = config(llm_models=[model])["model_list"]
    assert entry["model_info"]["local"] is local


@pytest.mark.parametrize("model", ["gpt-oss:120b-cloud", "qwen3:cloud"])
def test_a_model_that_ollama_passes_on_to_its_cloud_is_not_local(model: str) -> None:
    (entry,) = config(llm_models=[{"name": "m", "provider": "ollama", "model": model}])[
        "model_list"
    ]
    assert entry["model_info"]["local"] is False


def test_a_private_model_is_marked_as_such() -> None:
    models = [MOCK, {"name": "p", "provider": "ollama", "model": "x", "private": True}]
    marks = {e["model_name"]: e["model_info"] for e in config(llm_models=models)["model_list"]}
    assert marks["mock"]["private"] is False
    assert marks["p"] == {"id": "p#1", "local": True, "private": True}


EGRESS = {
    "a mock calls nobody": ([MOCK], {}, False),
    "ollama is on the same network": ([{"provider": "ollama", "model": "x"}], {}, False),
    "ollama elsewhere is not": (
        [{"provider": "ollama", "model": "x", "base_url": "http://host.docker.internal:11434"}],
        {},
        True,
    ),
    "a server on the local network is beyond the box": (
        [{"provider": "openai_compatible", "model": "x", "base_url": "http://gpu1:8000/v1"}],
        {},
        True,
    ),
    "a service of the stack is not": (
        [{"provider": "openai_compatible", "model": "x", "base_url": "http://vllm:8000/v1"}],
        {"__litellm_peers": ["vllm"]},
        False,
    ),
    "a cloud is": ([{"provider": "openai", "model": "x", "api_key": KEY}], {}, True),
    "another of LiteLLM's providers is": ([{"provider": "litellm", "model": "a/b"}], {}, True),
    "never is never": (
        [{"provider": "openai", "model": "x", "api_key": KEY}],
        {"litellm_egress": "never"},
        False,
    ),
    "always is always": ([MOCK], {"litellm_egress": "always"}, True),
}


@pytest.mark.parametrize(("models", "variables", "expected"), EGRESS.values(), ids=EGRESS)
def test_there_is_a_way_out_only_where_a_model_needs_one(
    models: list[dict[str, Any]], variables: dict[str, Any], expected: bool
) -> None:
    named = [{"name": "m", **model} for model in models]
    networks = service(llm_models=named, **variables)["compose"]["networks"]
    assert set(networks) == {"app", "model"} | ({"egress"} if expected else set())


def test_aliases_are_names_on_the_inner_networks() -> None:
    networks = service(llm_models=[MOCK], litellm_aliases=["llama-litellm"])["compose"]["networks"]
    assert networks == {name: {"aliases": ["llama-litellm"]} for name in ("app", "model")}


def test_overrides_reach_single_keys() -> None:
    changed = config(
        llm_models=[MOCK],
        litellm_config_overrides={"router_settings": {"num_retries": 9}, "mine": {"a": [1]}},
    )
    untouched = config(llm_models=[MOCK])
    assert changed.pop("mine") == {"a": [1]}
    assert changed["router_settings"].pop("num_retries") == 9
    untouched["router_settings"].pop("num_retries")
    assert changed == untouched


def test_a_callback_of_the_users_own_comes_on_top() -> None:
    overrides = {"litellm_settings": {"callbacks": ["prometheus"]}}
    settings = config(llm_models=[MOCK], litellm_config_overrides=overrides)["litellm_settings"]
    assert settings["callbacks"] == ["gpubox.handler", "prometheus"]


def test_environment_can_be_added_to_and_replaced() -> None:
    environment = service(
        llm_models=[MOCK], litellm_environment={"HTTPS_PROXY": "http://p:1", "LITELLM_LOG": "DEBUG"}
    )["compose"]["environment"]
    assert environment["HTTPS_PROXY"] == "http://p:1"
    assert environment["LITELLM_LOG"] == "DEBUG"
    assert environment["LITELLM_MODE"] == "PRODUCTION"


def test_compose_gets_only_text_in_environment_and_logging() -> None:
    compose = service(llm_models=[MOCK])["compose"]
    values = [*compose["environment"].values(), *compose["logging"]["options"].values()]
    assert [value for value in values if not isinstance(value, str)] == []


def test_processes_are_by_variable() -> None:
    entrypoint = service(llm_models=[MOCK], litellm_workers=4, litellm_server="granian")["compose"][
        "entrypoint"
    ]
    assert entrypoint[:3] == ["sh", "/etc/litellm/start.sh", "litellm"]
    assert entrypoint[-3:] == ["--num_workers", "4", "--run_granian"]


def test_it_publishes_nothing_and_runs_as_nobody_in_particular() -> None:
    compose = service(llm_models=[MOCK])["compose"]
    assert "ports" not in compose
    assert compose["user"] == "65532:65532"
    assert compose["read_only"] is True
    assert "/health/readiness" in compose["healthcheck"]["test"][-1]


def test_every_choice_of_a_provider_is_one_that_the_role_knows() -> None:
    fields = options("litellm")["llm_models"]["options"]
    table = yaml.safe_load((ROLE / "vars/main.yml").read_text())["__litellm_providers"]
    assert set(fields["provider"]["choices"]) == set(table)
    deployment = fields["deployments"]["options"]
    assert set(deployment) == set(fields) - {"name", "deployments", "private", "fallbacks"}
    assert {name: deployment[name] for name in deployment} == {n: fields[n] for n in deployment}


def test_a_play_hands_the_definition_over_and_shows_no_secret(tmp_path: Path) -> None:
    model = {"name": "m", "provider": "openai", "model": "x", "api_key": KEY}
    show = {"var": "__stack_services.litellm.secrets"}
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {"llm_models": [model], "litellm_master_key": KEY},
        "roles": ["gpubox.llm.litellm"],
        "post_tasks": [{"ansible.builtin.debug": show}],
    }
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    done = subprocess.run(
        [
            BIN / "ansible-playbook",
            "-vvvv",
            "-i",
            "localhost,",
            "-c",
            "local",
            tmp_path / "play.yml",
        ],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "llm_models[0].api_key" in done.stdout
    assert KEY not in done.stdout + done.stderr
