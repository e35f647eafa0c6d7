# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a client of the gateway gets: the OpenAI SDK through the proxy, and nothing behind it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import openai
import pytest
import requests

if TYPE_CHECKING:
    from openai import OpenAI

    from tests.rig.box import Box

HELLO = [{"role": "user", "content": "Hello"}]
ANSWER = "Hello from your own gateway."
# LiteLLM's own doors and ways around the allow-list.
ADMIN_PATHS = (
    "/",
    "/ui/",
    "/docs",
    "/redoc",
    "/openapi.json",
    "/routes",
    "/health",
    "/health/readiness",
    "/health/liveliness",
    "/metrics",
    "/key/generate",
    "/key/info",
    "/user/new",
    "/team/new",
    "/model/new",
    "/model/info",
    "/config/update",
    "/get/config/callbacks",
    "/sso/key/generate",
    "/spend/logs",
    "/credentials",
    "/mcp",
    "/v1/mcp/server",
    "/v1/models/../../key/generate",
    "/v1/models/%2e%2e/%2e%2e/key/generate",
    "//key/generate",
    "/V1/models",
    "/v1/models/",
    "/v1/models;/key/generate",
)


def test_chat(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="default", messages=HELLO)
    assert answer.choices[0].message.content == ANSWER


def test_stream(client: OpenAI) -> None:
    stream = client.chat.completions.create(model="mock", messages=HELLO, stream=True)
    parts = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    assert "".join(parts) == ANSWER
    assert len([part for part in parts if part]) > 1


def test_models(client: OpenAI) -> None:
    assert {"mock", "default"} <= {model.id for model in client.models.list()}


def test_wrong_key(client: OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-not-a-key-of-this-gateway").models.list()


def test_no_key(url: str) -> None:
    answer = requests.get(f"{url}/v1/models", timeout=30)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"


def test_unknown_model(client: OpenAI) -> None:
    with pytest.raises((openai.BadRequestError, openai.NotFoundError)) as caught:
        client.chat.completions.create(model="nobody-serves-this", messages=HELLO)
    assert "nobody-serves-this" in str(caught.value)


def test_unknown_path(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.get("/assistants", cast_to=object)


@pytest.mark.parametrize("path", ADMIN_PATHS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_admin_path_is_closed(url: str, master_key: str, path: str, method: str) -> None:
    """With the master key: nobody but the proxy refuses it."""
    with requests.Session() as session:
        request = requests.Request(method, url, headers={"Authorization": f"Bearer {master_key}"})
        prepared = session.prepare_request(request)
        prepared.url = url + path  # as written: requests would tidy it up
        answer = session.send(prepared, timeout=30, allow_redirects=False)
    assert answer.status_code in {400, 404}, answer.text
    assert "litellm" not in answer.text.lower()


def test_admin_paths_exist_behind_the_proxy(box: Box) -> None:
    """So that the test above cannot pass because LiteLLM has moved them."""
    networks = box.containers()["litellm"]["NetworkSettings"]["Networks"]
    address = next(network["IPAddress"] for network in networks.values())
    ask = "curl -s -o /dev/null --path-as-is -w '%{http_code} ' "
    codes = box.host.sh("".join(f"{ask} http://{address}:4000{path};" for path in ADMIN_PATHS[:20]))
    assert len([code for code in codes.split() if code != "404"]) >= 15, codes


def test_foreign_host_is_refused(url: str, master_key: str) -> None:
    headers = {"Authorization": f"Bearer {master_key}", "Host": "evil.example"}
    assert requests.get(f"{url}/v1/models", headers=headers, timeout=30).status_code == 404


def test_body_too_large(client: OpenAI) -> None:
    huge = [{"role": "user", "content": "x" * (33 << 20)}]
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="mock", messages=huge)
    assert caught.value.status_code == 413


def test_too_many_requests(client: OpenAI) -> None:
    """Last: it uses up what this address and this key may do for a second or two."""

    def ask(_number: int) -> int:
        try:
            client.models.list()
        except openai.RateLimitError as error:
            assert int(error.response.headers["Retry-After"]) >= 1
            return 429
        return 200

    with ThreadPoolExecutor(40) as pool:
        seen = set(pool.map(ask, range(300)))
    assert 429 in seen
    assert seen <= {200, 429}
