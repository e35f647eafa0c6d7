# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ollama_model does about a server and the registry that it pulls from."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from ansible_collections.gpubox.llm.plugins.module_utils._http import Request, Response

from tests.unit.fakes.gguf import gguf
from tests.unit.fakes.ollama import FakeOllama
from tests.unit.fakes.ollama_store import Name
from tests.unit.fakes.registry import FakeRegistry
from tests.unit.laws.case import Case, World

MODULE = "gpubox.llm.ollama_model"
KEY = "ollama-key-5d1e"
FOREIGN = "foreign:1"


class Both:
    """A server, and behind the same address the registry that stands for the default one."""

    def __init__(self, *there: str) -> None:
        self.registry = FakeRegistry()
        self.server = FakeOllama(version="0.35.0")
        self.registry.push("base:1")
        self.registry.push("other:1", ("model", gguf(size=8192)))
        for text in there:
            self._have(text)

    def __call__(self, request: Request) -> Response:
        place = urlsplit(request.url)
        self.server.registries[place.netloc] = self.registry
        self.server.plain.add(place.netloc)
        return (self.registry if place.path.startswith("/v2/") else self.server)(request)

    def _have(self, text: str) -> None:
        """As if it had been pulled some time ago."""
        source = FakeOllama({"registry.ollama.ai": self.registry})
        if f"library/{text}" not in self.registry.manifests:
            self.registry.push(text, ("model", gguf(size=2048)))
        body = f'{{"model": "{text}"}}'.encode()
        source(Request("POST", "http://ollama/api/pull", {}, body)).body  # noqa: B018 - reading is pulling
        self.server.store.manifests.update(source.store.manifests)
        self.server.store.blobs.update(source.store.blobs)
        assert Name.parse(text) in self.server.store.manifests


def call(*models: Any, **options: Any) -> Any:
    given = [{"name": model} if isinstance(model, str) else model for model in models]
    return lambda world: {
        "url": world.url,
        "registry_mirror": world.url,
        "models": given,
        **options,
    }


def state(world: World) -> Any:
    server = world.fake.server
    return {
        "models": dict(sorted(server.names.items())),
        "blobs": sorted(server.store.blobs),
        "loaded": sorted(item["name"] for item in server.memory.running()),
    }


def shows(request: Request) -> bool:
    return request.url.endswith("/api/show")


def case(name: str, there: tuple[str, ...], arguments: Any, **rest: Any) -> Case:
    return Case(
        name=name,
        module=MODULE,
        fake=lambda: Both(*there),
        arguments=arguments,
        state=state,
        reads=shows,
        **rest,
    )


def foreign(found: Any) -> Any:
    return found["models"].get(FOREIGN)


MINE = {"name": "mine", "from": "base:1", "system": "Be short.", "parameters": {"num_ctx": 512}}
GONE = tuple({"name": name, "state": "absent"} for name in ("base:1", "other:1"))

CASES = [
    case(
        "pulled",
        (FOREIGN,),
        call("base:1", "other:1", api_key=KEY),
        absent=call(*GONE, api_key=KEY),
        unmanaged=foreign,
        secrets=(KEY,),
    ),
    case(
        "latest",
        ("base:1", FOREIGN),
        call({"name": "Base:1", "state": "latest"}, {"name": "other:1", "state": "latest"}),
        unmanaged=foreign,
    ),
    case("there", ("base:1",), call("base:1"), changed=False),
    case("pruned", ("base:1", FOREIGN), call("base:1", "gpt-oss:cloud", prune=True)),
    case(
        "loaded",
        ("base:1", "other:1"),
        call({"name": "base:1", "loaded": True}),
        absent=call({"name": "base:1", "loaded": False}),
    ),
    case(
        "created",
        ("base:1", FOREIGN),
        call(MINE),
        absent=call({"name": "mine", "state": "absent"}),
        unmanaged=foreign,
        unpredictable=("models",),  # its digest is made by the server
    ),
]
