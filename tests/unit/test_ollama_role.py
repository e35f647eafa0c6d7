# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role ollama makes of its variables."""

from __future__ import annotations

from typing import Any

import pytest

from tests.repository import documents, options
from tests.unit.ollama_rendered import compose, value

TINY = {"name": "tiny", "provider": "ollama", "model": "tiny:1b"}

MODELS: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "a model by its name at Ollama": ({"llm_models": [TINY]}, [{"name": "tiny:1b"}]),
    "its own name where it has no other": (
        {"llm_models": [{"name": "llama3.2", "provider": "ollama"}]},
        [{"name": "llama3.2"}],
    ),
    "a pin": ({"llm_models": [{**TINY, "digest": "ab"}]}, [{"name": "tiny:1b", "digest": "ab"}]),
    "what it is made of": (
        {"llm_models": [{**TINY, "ollama": {"from": "base", "system": "Be brief."}}]},
        [{"name": "tiny:1b", "from": "base", "system": "Be brief."}],
    ),
    "how long it stays, if it is loaded": (
        {"llm_models": [{**TINY, "keep_alive": "24h", "ollama": {"loaded": True}}]},
        [{"name": "tiny:1b", "loaded": True, "keep_alive": "24h"}],
    ),
    "nothing of how long requests keep it": (
        {"llm_models": [{**TINY, "keep_alive": "24h"}]},
        [{"name": "tiny:1b"}],
    ),
    "one model under two names once": (
        {"llm_models": [TINY, {**TINY, "name": "small"}]},
        [{"name": "tiny:1b"}],
    ),
    "deployments, with what their model says": (
        {
            "llm_models": [
                {
                    "name": "both",
                    "digest": "ab",
                    "deployments": [
                        {"provider": "ollama", "model": "tiny:1b"},
                        {"provider": "openai", "model": "gpt-4o-mini"},
                    ],
                }
            ]
        },
        [{"name": "tiny:1b", "digest": "ab"}],
    ),
    "nothing of another Ollama": (
        {"llm_models": [{**TINY, "base_url": "http://gpu2:11434"}]},
        [],
    ),
    "nothing of other providers": ({"llm_models": [{"name": "mock", "provider": "mock"}]}, []),
    "further models after those of the gateway": (
        {"llm_models": [TINY], "ollama_models": [{"name": "old", "state": "absent"}]},
        [{"name": "tiny:1b"}, {"name": "old", "state": "absent"}],
    ),
}


@pytest.mark.parametrize("case", MODELS)
def test_ollama_is_asked_for(case: str) -> None:
    variables, wanted = MODELS[case]
    assert value("__ollama_models", **variables) == wanted


ENVIRONMENT: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "Ollama decides, and calls no cloud": ({}, {"OLLAMA_NO_CLOUD": "1"}),
    "the cloud only where it is wanted": ({"ollama_cloud": True}, {}),
    "everything that has a variable": (
        {
            "ollama_context_length": 8192,
            "ollama_num_parallel": 2,
            "ollama_max_loaded_models": 3,
            "ollama_keep_alive": "-1",
            "ollama_flash_attention": "on",
            "ollama_kv_cache_type": "q8_0",
            "ollama_origins": ["https://a.example", "https://b.example"],
        },
        {
            "OLLAMA_CONTEXT_LENGTH": "8192",
            "OLLAMA_NUM_PARALLEL": "2",
            "OLLAMA_MAX_LOADED_MODELS": "3",
            "OLLAMA_KEEP_ALIVE": "-1",
            "OLLAMA_FLASH_ATTENTION": "1",
            "OLLAMA_KV_CACHE_TYPE": "q8_0",
            "OLLAMA_ORIGINS": "https://a.example,https://b.example",
            "OLLAMA_NO_CLOUD": "1",
        },
    ),
    "and whatever has none": (
        {"ollama_flash_attention": "off", "ollama_environment": {"OLLAMA_DEBUG": "1"}},
        {"OLLAMA_FLASH_ATTENTION": "0", "OLLAMA_DEBUG": "1", "OLLAMA_NO_CLOUD": "1"},
    ),
}


@pytest.mark.parametrize("case", ENVIRONMENT)
def test_settings_are_environment_variables(case: str) -> None:
    variables, wanted = ENVIRONMENT[case]
    assert value("__ollama_environment", **variables) == wanted


def test_the_container_has_no_way_out_and_publishes_nothing() -> None:
    definition = compose()
    assert definition["networks"] == ["model"]
    assert "ports" not in definition
    assert "devices" not in definition
    assert "deploy" not in definition


def test_nvidia_gpus_are_asked_for_by_cdi() -> None:
    (device,) = compose(ollama_gpu="nvidia", ollama_gpu_devices=[0, "GPU-1f", "all"])["deploy"][
        "resources"
    ]["reservations"]["devices"]
    assert device == {
        "driver": "cdi",
        "device_ids": ["nvidia.com/gpu=0", "nvidia.com/gpu=GPU-1f", "nvidia.com/gpu=all"],
        "capabilities": ["gpu"],
    }


def test_an_amd_gpu_comes_with_its_groups_and_image() -> None:
    definition = compose(ollama_gpu="amd", ollama_gpu_groups=[44, 109], ollama_version="1.2.3")
    assert definition["devices"] == ["/dev/kfd", "/dev/dri"]
    assert definition["group_add"] == ["44", "109"]
    assert definition["image"] == "ollama/ollama:1.2.3-rocm"


@pytest.mark.parametrize(
    ("placement", "url"),
    [
        ("container", "http://ollama:11434"),
        ("native", "http://host.docker.internal:11434"),
        ("windows", "http://host.docker.internal:11434"),
        ("external", "http://gpu2:11434"),
    ],
)
def test_the_gateway_finds_it(placement: str, url: str) -> None:
    variables = {"ollama_placement": placement, "ollama_url": "http://gpu2:11434"}
    assert value("__ollama_gateway_url", **variables) == url


def test_its_models_have_the_keys_of_the_module() -> None:
    module = documents("ollama_model")["DOCUMENTATION"]["options"]["models"]["suboptions"]
    own = options("ollama")["ollama_models"]["options"]
    gateway = options("litellm")["llm_models"]["options"]
    assert set(own) == set(module)
    assert {*gateway["ollama"]["options"], "name", "digest", "keep_alive"} == set(module)
