# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ollama_model_info reads of servers that list capabilities, and of those that have to be asked for them."""

from __future__ import annotations

from functools import partial

from ansible_collections.gpubox.llm.plugins.module_utils._http import Request

from tests.unit.fakes.ollama import FakeOllama
from tests.unit.laws.case import Case, World

KEY = "ollama-key-71c0"


def made(version: str) -> FakeOllama:
    fake = FakeOllama(version=version)
    registry = fake.registries["registry.ollama.ai"]
    for name in ("one", "team/two:v1"):
        registry.push(name)
        for path in ("/api/pull", "/api/generate"):
            body = f'{{"model": "{name}"}}'.encode()
            fake(Request("POST", f"http://ollama{path}", {}, body)).body  # noqa: B018 - reading is doing
    fake.asked.clear()
    return fake


def state(world: World) -> object:
    return sorted(world.fake.names.items())


def shows(request: Request) -> bool:
    return request.url.endswith("/api/show")


CASES = [
    Case(
        name=version,
        module="gpubox.llm.ollama_model_info",
        fake=partial(made, version),
        arguments=lambda world: {"url": world.url, "api_key": KEY},
        state=state,
        changed=False,
        reads=shows,
        secrets=(KEY,),
    )
    for version in ("0.13.5", "0.35.0")
]
