# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ollama_model against an Ollama and a registry in memory."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from ansible_collections.gpubox.llm.plugins.module_utils._http import (
    ConnectError,
    HttpError,
    Request,
    Response,
    Transport,
)
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.task import act
from ansible_collections.gpubox.llm.plugins.module_utils._runner import Outcome, Task, TaskError
from ansible_collections.gpubox.llm.plugins.modules.ollama_model import MODEL, OPTIONS

from tests.unit.fakes.gguf import gguf
from tests.unit.fakes.ollama import FakeOllama
from tests.unit.fakes.registry import FakeRegistry

URL = "http://ollama:11434"
SMALL, OTHER = ("model", gguf(size=4096)), ("model", gguf(size=8192))
MINE = {"name": "mine", "from": "base:1", "system": "Be short."}


class World:
    """One server, and the registries that it and the module reach."""

    def __init__(self, *models: str) -> None:
        self.registry = FakeRegistry()
        self.hosts = {"registry.ollama.ai": self.registry, "hf.co": FakeRegistry()}
        self.server = FakeOllama(self.hosts, version="0.35.0")
        self.is_up = True
        self.warnings: list[str] = []
        self.ways: dict[str, Any] = {}  # the proxies by which each host was asked
        for model in models:
            self.registry.push(model)

    def mirror(self, host: str, *models: str, plain: bool = False) -> FakeRegistry:
        """Another registry, with these models."""
        found = self.hosts[host] = self.server.registries[host] = FakeRegistry()
        if plain:
            self.server.plain.add(host)
        for model in models:
            found.push(model)
        return found

    def __call__(self, request: Request) -> Response:
        host = urlsplit(request.url).netloc
        if host == urlsplit(URL).netloc and self.is_up:
            return self.server(request)
        if host not in self.hosts:
            raise ConnectError(request, "no connection: unknown name")
        return self.hosts[host](request)

    def run(self, *models: Any, check: bool = False, **options: Any) -> Outcome:
        """Call the module; a model is its options, or its name alone."""
        given = [{"name": model} if isinstance(model, str) else model for model in models]
        whole = [{**_defaults(MODEL), **model} for model in given]
        params = {**_defaults(OPTIONS), "url": URL, **options, "models": whole}
        self.server.asked.clear()
        self.registry.asked.clear()
        return act(_Task(self, params, check))

    def says(self, *models: Any, **options: Any) -> str:
        """The message with which the module fails."""
        try:
            outcome = self.run(*models, **options)
        except (TaskError, HttpError) as error:  # both are the module's message
            return str(error)
        raise AssertionError(f"it did not fail: {outcome}")

    @property
    def asked(self) -> list[str]:
        """What the server was asked, in order."""
        return [f"{asked.method} {asked.path}" for asked in self.server.asked]


class _Task(Task):
    def __init__(self, world: World, params: dict[str, Any], check: bool) -> None:
        super().__init__(params, check_mode=check, warn=world.warnings.append)
        self._world = world

    def transport(self, **options: Any) -> Transport:
        def send(request: Request) -> Response:
            self._world.ways[urlsplit(request.url).netloc] = options.get("proxies")
            return self._world(request)

        return send


def _defaults(options: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {name: option.get("default") for name, option in options.items()}


def actions(outcome: Outcome) -> dict[str, str]:
    return {model["name"]: model["action"] for model in outcome.result["models"]}


def here(world: World) -> list[str]:
    return sorted(world.server.names)
