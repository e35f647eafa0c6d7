# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Models: what the rules refuse, each with its path, reason and cure, and what they let through."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from tests.unit.validate_site import KEY, assert_only, found, site

LOCAL = {
    "name": "local",
    "provider": "ollama",
    "model": "llama3.2:3b",
    "base_url": "http://ollama:11434",
}
CLOUD = {"name": "cloud", "provider": "openai", "model": "gpt-4o-mini", "api_key": KEY}
MOCK = {"name": "mock", "provider": "mock"}
VLLM = {"provider": "openai_compatible", "model": "qwen3", "base_url": "http://gpu1:8000/v1"}
FALL = "llm_models[1].fallbacks"
URL = "llm_models[1].base_url"
D = "llm_models[1].deployments"


def with_models(*models: Any) -> dict[str, Any]:
    """A site whose first model is the local one."""
    return site(llm_models=[LOCAL, *models])


def vllm(**changes: Any) -> dict[str, Any]:
    return {"name": "big", **VLLM, **changes}


# fmt: off
CASES: list[tuple[Any, str, str, str]] = [
    # names
    ({**MOCK, "name": "default"}, "llm_models[1].name", "is taken", "another name"),
    ({**MOCK, "name": "my model"}, "llm_models[1].name", "letters, digits", "plain name"),
    ({**MOCK, "name": "openai/*"}, "llm_models[1].name", "letters, digits", "plain name"),
    ({**MOCK, "name": "-x"}, "llm_models[1].name", "begins with", "plain name"),
    ({**MOCK, "name": "a" * 129}, "llm_models[1].name", "letters, digits", "plain name"),
    ({**MOCK, "name": "größe"}, "llm_models[1].name", "letters, digits", "plain name"),
    ({**MOCK, "name": "a\nb"}, "llm_models[1].name", "letters, digits", "plain name"),
    ({**MOCK, "name": "local"}, "llm_models[1].name", "llm_models[0] has the same name", "deployments"),
    ({**MOCK, "name": 4.1}, "llm_models[1].name", "YAML drops digits", "quotes"),
    ({**MOCK, "name": True}, "llm_models[1].name", "truth value", "quotes"),
    ({"provider": "mock"}, "llm_models[1].name", "required and not set", "Set it"),
    ({**MOCK, "name": ""}, "llm_models[1].name", "required and not set", "Set it"),
    # form
    ({"name": "x"}, "llm_models[1].provider", "nothing says who serves", "mock"),
    ({"name": "x", "deployments": []}, D, "empty", "List a deployment"),
    ({"name": "x", "deployments": VLLM}, D, "not a list", "- item"),
    ({"name": "x", "deployments": ["gpu1"]}, f"{D}[0]", "not a mapping", "key: value"),
    ({"name": "x", "deployments": [VLLM, None]}, f"{D}[1]", "empty", "remove the dash"),
    ("gpt-4o", "llm_models[1]", "not a mapping", "key: value"),
    (None, "llm_models[1]", "empty", "remove the dash"),
    # providers
    ({**MOCK, "provider": "opanai"}, "llm_models[1].provider", "none of", 'mean "openai"'),
    ({**MOCK, "provider": "vllm"}, "llm_models[1].provider", "none of", "one of them"),
    ({**MOCK, "provider": "OpenAI"}, "llm_models[1].provider", "none of", 'mean "openai"'),
    ({"name": "x", "deployments": [{**VLLM, "provider": "grok"}]}, f"{D}[0].provider", "none of", 'mean "groq"'),
    ({"name": "x", "deployments": [{"model": "q"}]}, f"{D}[0].provider", "required", "Set it"),
    # what a provider needs
    ({**CLOUD, "api_key": None}, "llm_models[1].api_key", "openai needs it", "vault_openai_api_key"),
    ({**CLOUD, "api_key": ""}, "llm_models[1].api_key", "openai needs it", "vault_openai_api_key"),
    (
        {**CLOUD, "provider": "anthropic", "api_key": ""},
        "llm_models[1].api_key",
        "anthropic needs it",
        "vault_anthropic",
    ),
    ({**CLOUD, "provider": "groq", "api_key": ""}, "llm_models[1].api_key", "groq needs it", "vault_groq"),
    ({**CLOUD, "provider": "azure"}, URL, "azure needs it", "http://"),
    ({**vllm(), "base_url": None}, URL, "openai_compatible needs it", "http://gpu1:8000/v1"),
    (
        {"name": "x", "deployments": [VLLM, {**CLOUD, "name": None, "api_key": ""}]},
        f"{D}[1].api_key",
        "needs it",
        "vault",
    ),
    (
        {"name": "x", "provider": "litellm", "model": "claude"},
        "llm_models[1].model",
        "LiteLLM's provider",
        "provider/model",
    ),
    ({"name": "x", "provider": "litellm"}, "llm_models[1].model", "LiteLLM's provider", "provider/model"),
    # secrets
    ({**CLOUD, "api_key": f"{KEY}\n"}, "llm_models[1].api_key", "line break", "one line"),
    ({**CLOUD, "api_key": f"{KEY}\0x"}, "llm_models[1].api_key", "NUL", "one line"),
    ({**CLOUD, "api_key": f" {KEY}"}, "llm_models[1].api_key", "space", "Remove"),
    ({**CLOUD, "api_key": [KEY]}, "llm_models[1].api_key", "not text", "one line"),
    ({**CLOUD, "api_key": {"a": KEY}}, "llm_models[1].api_key", "not text", "one line"),
    # addresses
    (vllm(base_url="gpu1:8000/v1"), URL, "not a web address", "http://host:port"),
    (vllm(base_url="ftp://gpu1/v1"), URL, "not a web address", "http://host:port"),
    (vllm(base_url="http://"), URL, "not a web address", "http://host:port"),
    (vllm(base_url="http://gpu1:99999/v1"), URL, "not a web address", "http://host:port"),
    (vllm(base_url="http://gpu 1/v1"), URL, "not a web address", "http://host:port"),
    (vllm(base_url=f"http://me:{KEY}@gpu1/v1"), URL, "user name or password", "api_key"),
    (vllm(base_url="http://gpu1/v1?x=1"), URL, "query", "params"),
    (vllm(base_url="http://localhost:8000/v1"), URL, "container itself", "host.docker.internal"),
    (vllm(base_url="http://127.0.0.1:8000/v1"), URL, "container itself", "host.docker.internal"),
    (vllm(base_url="http://[::1]:8000/v1"), URL, "container itself", "host.docker.internal"),
    (vllm(base_url=8000), URL, "not a web address", "http://host:port"),
    # the same twice
    ({"name": "x", "deployments": [VLLM, VLLM]}, f"{D}[1]", "same deployment", "weight"),
    ({"name": "x", "deployments": [VLLM, {**VLLM, "weight": 2}]}, f"{D}[1]", "same deployment", "weight"),
    # numbers
    ({"name": "x", "deployments": [{**VLLM, "weight": 0}]}, f"{D}[0].weight", "from 1 to", "range"),
    ({"name": "x", "deployments": [{**VLLM, "order": -1}]}, f"{D}[0].order", "from 1 to", "range"),
    ({"name": "x", "deployments": [{**VLLM, "weight": "much"}]}, f"{D}[0].weight", "whole number", "digits"),
    # keys of other tools and slips
    ({**MOCK, "modle": "x"}, "llm_models[1].modle", "no such key", 'mean "model"'),
    (vllm(api_base="http://x"), "llm_models[1].api_base", "no such key", 'mean "base_url"'),
    ({**MOCK, "model_name": "x"}, "llm_models[1].model_name", "no such key", 'mean "name"'),
    ({**MOCK, "litellm_params": {}}, "llm_models[1].litellm_params", "no such key", "one of these"),
    ({"name": "x", "deployments": [{**VLLM, "wieght": 1}]}, f"{D}[0].wieght", "no such key", 'mean "weight"'),
    ({**MOCK, "digest": "sha256:12"}, "llm_models[1].digest", "not a digest", "whole digest"),
    ({**MOCK, "mode": "chats"}, "llm_models[1].mode", "none of", 'mean "chat"'),
    ({**MOCK, "timeout": 0}, "llm_models[1].timeout", "from 0.1 to", "range"),
    ({**MOCK, "timeout": "10s"}, "llm_models[1].timeout", "not a number", "without a unit"),
    ({**MOCK, "rpm": 0}, "llm_models[1].rpm", "at least 1", "range"),
    ({**MOCK, "context": 8}, "llm_models[1].context", "from 256 to", "range"),
    ({**MOCK, "params": "a=b"}, "llm_models[1].params", "not a mapping", "key: value"),
    ({**MOCK, "api_version": datetime.date(2024, 10, 21)}, "llm_models[1].api_version", "a date", "quotes"),
    ({**MOCK, "timeout": 900}, "reverse_proxy_read_seconds", "(llm_models[1].timeout is 900)", "Raise it above 900"),
    # what a model says holds for its deployments
    (
        {"name": "x", "provider": "openai", "deployments": [{"api_key": KEY}, {"model": "y"}]},
        f"{D}[1].api_key",
        "openai needs it",
        "vault",
    ),
    (
        {"name": "x", "base_url": "http://", "deployments": [{**VLLM, "base_url": None}]},
        "llm_models[1].base_url",
        "not a web address",
        "http://",
    ),
    # fallbacks
    ({**MOCK, "fallbacks": ["mock"]}, f"{FALL}[0]", "its own fallback", "another model"),
    ({**MOCK, "fallbacks": ["lokal"]}, f"{FALL}[0]", "No such model", 'mean "local"'),
    ({**MOCK, "fallbacks": ["gpt-5"]}, f"{FALL}[0]", "declared are local, mock", "Declare"),
    ({**MOCK, "fallbacks": ["local", "local"]}, f"{FALL}[1]", "twice", "Remove"),
    ({**MOCK, "fallbacks": "local"}, FALL, "not a list", "- item"),
    ({**MOCK, "fallbacks": [1.5]}, f"{FALL}[0]", "number", "quotes"),
    # privacy
    ({**CLOUD, "private": True}, "llm_models[1].provider", "llm_models[1] is private", "local provider"),
    (vllm(private=True, base_url="https://api.example.com/v1"), URL, "is private", "private address"),
    (vllm(private=True, base_url="http://8.8.8.8/v1"), URL, "is private", "private address"),
    ({**LOCAL, "name": "x", "private": True, "model": "gpt-oss:120b-cloud"}, URL, "is private", "local"),
    ({**LOCAL, "name": "x", "private": True, "base_url": "https://ollama.example.com"}, URL, "is private", "local"),
    (
        {"name": "x", "provider": "litellm", "model": "groq/q", "private": True},
        "llm_models[1].provider",
        "private",
        "local",
    ),
    (
        {"name": "x", "private": True, "deployments": [VLLM, {**CLOUD, "name": None}]},
        f"{D}[1].provider",
        "private",
        "local",
    ),
    ({**MOCK, "private": "maybe"}, "llm_models[1].private", "text", "without quotes"),
    ({**MOCK, "private": 2}, "llm_models[1].private", "neither true nor false", "true or false"),
]
# fmt: on


@pytest.mark.parametrize(("model", "path", "reason", "cure"), CASES)
def test_a_wrong_model_is_one_fault_with_path_reason_and_cure(
    model: Any, path: str, reason: str, cure: str
) -> None:
    assert_only(with_models(drop_nones(model)), path, reason, cure)


def drop_nones(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: drop_nones(inner) for key, inner in value.items() if inner is not None}
    return [drop_nones(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("text", ["true", "yes", "True", "1", 1, "on"])
def test_private_counts_in_every_spelling_of_true(text: Any) -> None:
    paths = [one.path for one in found(with_models({**CLOUD, "private": text}))]
    assert "llm_models[1].provider" in paths


@pytest.mark.parametrize(
    ("fallbacks", "of_mock"),
    [(["cloud"], []), (["mock"], ["cloud"])],
    ids=["directly", "through another model"],
)
def test_a_private_model_never_falls_back_to_the_cloud(
    fallbacks: list[str], of_mock: list[str]
) -> None:
    private = {**LOCAL, "private": True, "fallbacks": fallbacks}
    variables = site(llm_models=[private, CLOUD, {**MOCK, "fallbacks": of_mock}])
    assert_only(
        variables, "llm_models[0].fallbacks[0]", "not local (llm_models[1])", "local models only"
    )


def test_a_private_model_may_fall_back_to_a_local_one() -> None:
    variables = site(llm_models=[{**LOCAL, "private": True, "fallbacks": ["mock"]}, MOCK])
    assert found(variables) == []


@pytest.mark.parametrize("length", [2, 3, 5])
def test_a_circle_of_fallbacks_is_reported_once_where_it_closes(length: int) -> None:
    models = [
        {"name": f"m{i}", "provider": "mock", "fallbacks": [f"m{(i + 1) % length}"]}
        for i in range(length)
    ]
    variables = site(llm_models=models, llm_default_model="m0")
    assert_only(variables, f"llm_models[{length - 1}].fallbacks[0]", "circle", "Remove one")


@pytest.mark.parametrize(
    ("name", "reason", "cure"),
    [
        ("lokal", "No such model", 'mean "local"'),
        ("gpt-5", "has local, cloud", "declare"),
        (3.5, "number", "quotes"),
    ],
)
def test_the_default_model_is_one_that_is_served(name: Any, reason: str, cure: str) -> None:
    assert_only(site(llm_default_model=name), "llm_default_model", reason, cure)


@pytest.mark.parametrize(
    "host",
    [
        "gpu1",
        "10.0.0.5",
        "192.168.1.2",
        "100.64.1.1",
        "[fd00::1]",
        "box.lan",
        "host.docker.internal",
    ],
)
def test_a_private_model_may_live_on_the_private_network(host: str) -> None:
    assert found(with_models(vllm(private=True, base_url=f"http://{host}:8000/v1"))) == []


def test_the_models_of_the_vocabulary_are_good() -> None:
    """Those of the design's section on the vocabulary, with local and cloud deployments under one name."""
    variables = site(
        llm_models=[
            {"name": "llama3.2", "provider": "mock", "model": "llama3.2:3b", "private": True},
            {**CLOUD, "name": "gpt-4o-mini", "fallbacks": ["llama3.2"]},
            {
                "name": "big",
                "provider": "openai_compatible",
                "deployments": [
                    {"base_url": "http://gpu2:8000/v1", "model": "qwen3"},
                    {**VLLM, "weight": 2},
                    {"provider": "groq", "model": "qwen3-32b", "api_key": KEY, "order": 2},
                ],
            },
            {
                "name": "bedrock",
                "provider": "litellm",
                "model": "bedrock/claude",
                "params": {"aws_region_name": "eu"},
            },
        ],
        llm_default_model="llama3.2",
    )
    assert found(variables) == []


@pytest.mark.parametrize(
    ("place", "settings"),
    [
        (
            "router_settings.default_fallbacks[0]",
            {"router_settings": {"default_fallbacks": ["cloud"]}},
        ),
        (
            "router_settings.fallbacks[0].local[0]",
            {"router_settings": {"fallbacks": [{"local": ["cloud"]}]}},
        ),
        (
            "litellm_settings.context_window_fallbacks[0].local[0]",
            {"litellm_settings": {"context_window_fallbacks": [{"local": ["cloud"]}]}},
        ),
        (
            "router_settings.model_group_alias.local",
            {"router_settings": {"model_group_alias": {"local": "cloud"}}},
        ),
    ],
)
def test_no_fallback_in_litellms_own_words_takes_a_private_model_to_the_cloud(
    place: str, settings: Any
) -> None:
    variables = site(
        llm_models=[{**LOCAL, "private": True}, CLOUD], litellm_config_overrides=settings
    )
    assert_only(variables, f"litellm_config_overrides.{place}", "is private", "local models only")


def test_no_fallback_in_free_parameters_takes_a_private_model_to_the_cloud() -> None:
    private = {**LOCAL, "private": True, "params": {"fallbacks": ["cloud"]}}
    variables = site(llm_models=[private, CLOUD])
    assert_only(variables, "llm_models[0].params.fallbacks[0]", "is private", "local models only")


def test_free_parameters_do_not_take_a_private_model_elsewhere() -> None:
    away = {
        **MOCK,
        "provider": "ollama",
        "private": True,
        "params": {"api_base": "https://x.example"},
    }
    assert_only(with_models(away), "llm_models[1].provider", "is private", "local provider")


def test_without_a_way_out_only_services_of_the_stack_answer() -> None:
    variables = site(litellm_egress="never")
    assert_only(variables, "llm_models[1].provider", "litellm_egress is never", "auto")
    variables = site(llm_models=[LOCAL, MOCK], litellm_egress="never")
    assert found(variables) == []
