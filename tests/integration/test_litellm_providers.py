# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real LiteLLM as the role describes it, in front of recording stand-ins of its providers."""

from __future__ import annotations

import hashlib
import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.litellm_box import MASTER_KEY, PROMPT, Box
from tests.rig.commands import run
from tests.rig.providers import WORDS, Providers

if TYPE_CHECKING:
    from collections.abc import Iterator

SAID = "".join(WORDS)
FALLBACK = "Hello from the mock"
PROVIDER_KEY = "canary-provider-key-90d1"
UNKNOWN_KEYS = ["sk-canary-unknown-key", "canary-without-prefix"]
CLOSED_PORT = 9


@pytest.fixture(scope="module")
def providers() -> Iterator[Providers]:
    bridge = json.loads(run("docker", "network", "inspect", "bridge"))[0]
    with Providers(bridge["IPAM"]["Config"][0]["Gateway"]).running() as running:
        yield running


def models(port: int) -> list[dict[str, Any]]:
    """One model for each thing to show. Only by its name is the cloud no part of this machine."""
    cloud, local = f"http://cloud.example:{port}", f"http://host.docker.internal:{port}"
    here = {"provider": "openai_compatible", "base_url": f"{local}/compatible/v1"}
    key = {"api_key": PROVIDER_KEY}
    return [
        {"name": "mock", "provider": "mock", "mock_response": FALLBACK},
        {"name": "openai", "provider": "openai", "model": "gpt-4o"}
        | {"base_url": f"{cloud}/openai/v1"}
        | key,
        {"name": "anthropic", "provider": "anthropic", "model": "claude-sonnet-4-5"}
        | {"base_url": f"{cloud}/anthropic"}
        | key,
        {"name": "azure", "provider": "azure", "model": "mine", "base_url": f"{cloud}/azure"}
        | {"api_version": "2024-10-21", "base_model": "azure/gpt-4o"}
        | key,
        {"name": "groq", "provider": "groq", "model": "qwen3-32b"}
        | {"base_url": f"{cloud}/groq/openai/v1"}
        | key,
        {"name": "ollama", "provider": "ollama", "model": "llama3.2:3b", "context": 4096}
        | {"base_url": f"{local}/ollama"},
        {"name": "embedding", "provider": "ollama", "model": "nomic", "mode": "embedding"}
        | {"base_url": f"{local}/ollama"},
        {"name": "compatible", "model": "qwen3"} | here,
        {"name": "mistral", "provider": "litellm", "model": "mistral/mistral-small"}
        | {"params": {"api_base": f"{cloud}/mistral/v1", **key}},
        {"name": "flaky", "model": "flaky-2"} | here,
        {"name": "limited", "model": "fail-429", "fallbacks": ["openai"]} | here,
        {"name": "broken", "model": "fail-500", "fallbacks": ["mock"]} | here,
        {"name": "hopeless", "model": "fail-502"} | here,
        {"name": "slow", "model": "slow-3", "timeout": 1, "fallbacks": ["mock"]} | here,
        {"name": "rationed", "provider": "mock", "rpm": 2},
        {
            "name": "several",
            "deployments": [
                {"model": "fail-503", "order": 1} | here,
                {"model": "second", "order": 2} | here,
            ],
        },
        {
            "name": "weighted",
            "deployments": [
                {"model": "heavy", "weight": 1000000} | here,
                {"model": "light", "weight": 1} | here,
            ],
        },
        # The inventory's check refuses this fallback; here it is let through, to see what LiteLLM does.
        {"name": "private", "provider": "openai_compatible", "model": "x", "private": True}
        | {"base_url": f"http://host.docker.internal:{CLOSED_PORT}/v1", "fallbacks": ["openai"]},
    ]


@pytest.fixture(scope="module")
def box(providers: Providers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    running = Box(
        "gpubox-test-litellm",
        tmp_path_factory.mktemp("box"),
        {"llm_models": models(providers.port), "llm_default_model": "compatible"},
        {"cloud.example": "host-gateway"},
    )
    try:
        running.up()
        yield running
    finally:
        running.down()


# What reaches a provider, and what comes back

ASKED = {
    "openai": ("openai", "/v1/chat/completions", "authorization", f"Bearer {PROVIDER_KEY}"),
    "anthropic": ("anthropic", "/v1/messages", "x-api-key", PROVIDER_KEY),
    "azure": (
        "azure",
        "/openai/deployments/mine/chat/completions?api-version=2024-10-21",
        "api-key",
        PROVIDER_KEY,
    ),
    "groq": ("groq", "/openai/v1/chat/completions", "authorization", f"Bearer {PROVIDER_KEY}"),
    "mistral": ("mistral", "/v1/chat/completions", "authorization", f"Bearer {PROVIDER_KEY}"),
    "compatible": ("compatible", "/v1/chat/completions", "authorization", "Bearer none"),
    "ollama": ("ollama", "/api/chat", "authorization", None),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("model", ASKED)
def test_a_provider_is_asked_in_its_own_way_and_answers_in_openais(
    box: Box, providers: Providers, model: str, stream: bool
) -> None:
    provider, path, header, credential = ASKED[model]
    before = len(providers.of(provider))
    answer = box.chat(model, stream=stream)
    assert answer.status == 200, answer.text
    assert answer.content == SAID
    (call,) = providers.of(provider)[before:]
    assert call.path == path
    assert call.headers.get(header) == credential
    assert PROMPT in json.dumps(call.body["messages"])
    assert MASTER_KEY not in json.dumps(call.headers)
    if not stream:
        assert answer.json["usage"]["total_tokens"] == 5
        assert answer.json["object"] == "chat.completion"


def test_ollama_loads_the_context_that_the_inventory_names(box: Box, providers: Providers) -> None:
    assert box.chat("ollama").status == 200
    assert providers.of("ollama", "llama3.2:3b")[-1].body["options"]["num_ctx"] == 4096


def test_embeddings(box: Box, providers: Providers) -> None:
    answer = box.request("/v1/embeddings", {"model": "embedding", "input": "x"})
    assert answer.json["data"][0]["embedding"] == [0.5, 0.25]
    assert providers.of("ollama", "nomic")[-1].path == "/api/embed"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", {"input": "x"}),
        ("/v1/messages", {"max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}),
    ],
)
def test_other_apis_become_chat_completions_where_servers_have_no_more(
    box: Box, providers: Providers, path: str, body: dict[str, Any]
) -> None:
    answer = box.request(path, {"model": "compatible", **body})
    assert answer.status == 200, answer.text
    assert SAID in answer.text
    assert providers.of("compatible", "qwen3")[-1].path == "/v1/chat/completions"


def test_models_are_listed_with_the_default_one(box: Box, providers: Providers) -> None:
    listed = {model["id"] for model in box.request("/v1/models").json["data"]}
    assert listed == {"default", *(model["name"] for model in models(providers.port))}
    assert box.chat("default").content == SAID
    assert providers.of("compatible")[-1].model == "qwen3"


# When a provider fails


@pytest.mark.parametrize(
    ("model", "asked", "said"),
    [
        ("limited", "fail-429", SAID),
        ("broken", "fail-500", FALLBACK),
        ("slow", "slow-3", FALLBACK),
        ("flaky", "flaky-2", SAID),
    ],
)
def test_a_failing_provider_is_asked_again_twice_and_then_another(
    box: Box, providers: Providers, model: str, asked: str, said: str
) -> None:
    clouds = len(providers.of("openai"))
    answer = box.chat(model)
    assert (answer.status, answer.content) == (200, said)
    assert len(providers.of("compatible", asked)) == 3
    assert len(providers.of("openai")) - clouds == (1 if model == "limited" else 0)


def test_deployments_are_asked_in_order(box: Box, providers: Providers) -> None:
    assert box.chat("several").content == SAID
    assert len(providers.of("compatible", "fail-503")) == 3
    assert len(providers.of("compatible", "second")) == 1


def test_deployments_are_asked_by_weight(box: Box, providers: Providers) -> None:
    for _attempt in range(10):
        assert box.chat("weighted").status == 200
    assert len(providers.of("compatible", "heavy")) == 10
    assert len(providers.of("compatible", "light")) == 0


def test_a_deployment_gets_no_more_requests_than_the_inventory_allows(box: Box) -> None:
    assert [box.chat("rationed").status for _attempt in range(3)] == [200, 200, 429]


# What stays on the box


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"stream": True},
        {"fallbacks": ["openai"]},
        {"fallbacks": ["openai#1"]},
        {"fallbacks": [{"model": "openai"}]},
    ],
    ids=str,
)
def test_with_its_server_down_a_private_model_fails_and_no_cloud_hears_of_it(
    box: Box, providers: Providers, more: dict[str, Any]
) -> None:
    before = len(providers.calls)
    answer = box.chat("private", num_retries=0, **more)
    assert answer.status == 500
    assert "private" in answer.json["error"]["message"]
    assert providers.calls[before:] == []


@pytest.mark.parametrize(
    "brought",
    [
        {"api_key": "sk-mine"},
        {"api_base": "http://cloud.example/evil"},
        {"base_url": "http://cloud.example/evil"},
        {"user_config": {"model_list": []}},
        {"model_list": []},
        {"extra_body": {"api_base": "http://cloud.example/evil"}},
        {"fallbacks": [{"model": "openai", "api_key": "sk-mine"}]},
        {"fallbacks": [{"model": "openai", "api_base": "http://cloud.example/evil"}]},
    ],
    ids=lambda brought: "-".join([*brought, *map(str, brought.values())])[:40],
)
def test_a_client_brings_no_address_and_no_credential_for_a_provider(
    box: Box, providers: Providers, brought: dict[str, Any]
) -> None:
    before = len(providers.calls)
    answer = box.chat("openai", **brought)
    assert answer.status == 400, answer.text
    assert "is not allowed in" in answer.json["error"]["message"]
    assert providers.calls[before:] == []


@pytest.mark.parametrize(
    ("key", "said"),
    [(key, "This gateway does not know the key.") for key in UNKNOWN_KEYS]
    + [("", "No API key was sent, or not as Authorization: Bearer <key>.")],
)
def test_an_unknown_key_is_refused(box: Box, key: str, said: str) -> None:
    answer = box.chat("mock", key=key)
    assert (answer.status, answer.json["error"]["message"]) == (401, said)


def test_an_unknown_model_is_refused(box: Box) -> None:
    answer = box.chat("nonesuch")
    assert answer.status == 400
    assert "nonesuch" in answer.json["error"]["message"]


# What the log says

LINE = {"timestamp", "level", "event", "request_id", "key", "model", "status", "latency_ms"}
LINE |= {"stream"}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_good_answer_leaves_one_line(box: Box, stream: bool) -> None:
    answer = box.chat("openai", stream=stream)
    (line,) = box.logged(answer.headers["x-litellm-call-id"])
    tokens = {"prompt_tokens": 3, "completion_tokens": 2, "fallbacks": 0}
    assert set(line) == LINE | set(tokens) | {"deployment"}
    assert line["event"] == "request"
    assert line["key"] == "master"
    assert line["model"] == "openai"
    assert line["deployment"] == "openai#1"
    assert line["status"] == 200
    assert 0 < line["latency_ms"] < 60000
    assert line["stream"] is stream
    assert {name: line[name] for name in tokens} == tokens


def test_a_fallback_is_seen_in_the_line(box: Box) -> None:
    answer = box.chat("broken")
    (line,) = box.logged(answer.headers["x-litellm-call-id"])
    assert (line["model"], line["deployment"], line["fallbacks"]) == ("broken", "mock#1", 1)


def test_a_failure_leaves_one_line_with_the_status_that_the_client_got(box: Box) -> None:
    answer = box.chat("hopeless", num_retries=0)
    assert answer.status >= 500
    (line,) = box.logged(answer.headers["x-litellm-call-id"])
    assert set(line) == LINE | {"error"}
    assert (line["level"], line["model"], line["key"]) == ("warning", "hopeless", "master")
    assert line["status"] == answer.status


@pytest.mark.parametrize("key", UNKNOWN_KEYS)
def test_an_unknown_key_leaves_one_line_with_its_hash(box: Box, key: str) -> None:
    def refused() -> list[dict[str, Any]]:
        requests = [json.loads(x) for x in box.log().splitlines() if '"event": "request"' in x]
        return [request for request in requests if request["status"] == 401]

    before = len(refused())
    box.chat("mock", key=key)
    (line,) = refused()[before:]
    assert line["key"] == f"sha256:{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def test_the_log_holds_no_key_and_no_prompt_and_is_lines_of_json(box: Box) -> None:
    box.chat("hopeless", num_retries=0)  # its provider repeats the prompt in its error
    box.request(f"/v1/models?key={MASTER_KEY}")
    log = box.log()
    for canary in (PROMPT, SAID, PROVIDER_KEY, MASTER_KEY, *UNKNOWN_KEYS):
        assert canary not in log
    start = log.index('{"')
    requests = [line for line in log[start:].splitlines() if "request" in line]
    assert [line for line in requests if not isinstance(json.loads(line), dict)] == []


# How it runs


def test_the_container_is_hardened_and_shows_no_secret(box: Box) -> None:
    text = run("docker", "inspect", box.container)
    for canary in (PROVIDER_KEY, MASTER_KEY):
        assert canary not in text
    found = json.loads(text)[0]
    host = found["HostConfig"]
    assert found["Config"]["User"] == "65532:65532"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["CapAdd"] is None
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Memory"] == 1536 * 1024 * 1024
    assert host["PidsLimit"] == 512
    assert host["PortBindings"] in (None, {})
    assert found["State"]["Health"]["Status"] == "healthy"
    arguments = run("docker", "top", box.container, "-o", "pid,args")
    assert MASTER_KEY not in arguments


def test_it_shows_no_documentation_of_its_administration(box: Box) -> None:
    assert [box.request(path).status for path in ("/docs", "/redoc")] == [404, 404]


# What is refused before it replaces anything


def check(variables: dict[str, Any], directory: Any) -> tuple[int, str]:
    """The service's own check, as the stack runs it: in a container without a network."""
    candidate = Box("gpubox-test-litellm-check", directory, variables)
    compose = candidate.definition["compose"]
    environment = [f"--env={name}={value}" for name, value in compose["environment"].items()]
    mounts = [f"--volume={mount}" for mount in candidate.mounts]
    first, *rest = candidate.definition["validate"]
    command = ["docker", "run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL"]
    command += [f"--user={compose['user']}", *(f"--tmpfs={mount}" for mount in compose["tmpfs"])]
    command += [*environment, *mounts, f"--entrypoint={first}", compose["image"], *rest]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.returncode, done.stdout


def test_a_good_configuration_passes_its_check(providers: Providers, tmp_path: Any) -> None:
    code, said = check({"llm_models": models(providers.port)}, tmp_path)
    assert code == 0, said
    assert "config OK" in said
    assert PROVIDER_KEY not in said


def test_an_unknown_provider_is_refused_by_name(tmp_path: Any) -> None:
    bad = {"name": "mine", "provider": "litellm", "model": "nonesuch/some-model"}
    code, said = check({"llm_models": [bad]}, tmp_path)
    assert code == 1
    assert "model 'mine'" in said
    assert "nonesuch/some-model" in said
    assert "Traceback" not in said


def test_a_configuration_that_litellm_cannot_use_is_refused(tmp_path: Any) -> None:
    variables = {
        "llm_models": [{"name": "mock", "provider": "mock"}],
        "litellm_config_overrides": {"litellm_settings": {"callbacks": ["nonesuch.handler"]}},
    }
    code, said = check(variables, tmp_path)
    assert code == 1
    assert "nonesuch" in said
