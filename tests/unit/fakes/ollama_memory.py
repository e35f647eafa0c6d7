# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The models that an Ollama server has in memory: loaded by a request without a prompt, unloaded by one, listed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.unit.fakes.ollama_show import details, shown
from tests.unit.fakes.ollama_store import Manifest, Name, Refused, Store, now, rfc3339

EVER = timedelta(days=106_751)  # Go's longest duration
SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class Loaded:
    """A model in memory, as it was when it was loaded."""

    manifest: Manifest
    details: dict[str, Any]
    context: int
    expires: datetime


class Memory:
    """What is loaded, until when, and how much of it is on the GPU."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.loaded: dict[Name, Loaded] = {}
        self.gpu_share = 0.0

    def generate(self, body: dict[str, Any]) -> dict[str, Any]:
        text = body.get("model", "")
        missing = f"model '{text}' not found"
        name = Name.parse(text)
        manifest = self.store.found(name, missing)
        assert name is not None
        said = {"model": text, "created_at": rfc3339(now()), "response": "", "done": True}
        if body.get("keep_alive") == 0 and not body.get("prompt"):
            self.loaded.pop(self.store.existing(name), None)
            return {**said, "done_reason": "unload"}
        if "completion" not in shown(self.store, name, manifest)["capabilities"]:
            raise Refused(400, f'"{text}" does not support generate')
        self._load(name, manifest, body)
        if not body.get("prompt"):
            return {**said, "done_reason": "load"}
        counts = {"prompt_eval_count": 3, "eval_count": 2}
        return {**said, "response": "Hello there", "done_reason": "stop", **counts}

    def embed(self, body: dict[str, Any]) -> dict[str, Any]:
        text = body.get("model", "")
        name = Name.parse(text)
        manifest = self.store.found(name, f'model "{text}" not found, try pulling it first')
        assert name is not None
        self._load(name, manifest, body)
        given = body.get("input") or []
        inputs = [given] if isinstance(given, str) else given
        answer: dict[str, Any] = {"model": text, "embeddings": [[0.6, 0.8] for _unused in inputs]}
        counts = {"total_duration": 1, "load_duration": 1, "prompt_eval_count": 3}
        return {**answer, **counts} if inputs else answer

    def running(self) -> list[dict[str, Any]]:
        """Those in memory, the one that stays longest first."""
        alive = [item for item in self.loaded.items() if item[1].expires > now()]
        alive.sort(key=lambda item: item[1].expires, reverse=True)
        return [
            {
                "name": name.short,
                "model": name.short,
                "size": one.manifest.size,
                "digest": one.manifest.digest,
                "details": one.details,
                "expires_at": rfc3339(one.expires),
                "size_vram": int(one.manifest.size * self.gpu_share),
                "context_length": one.context,
            }
            for name, one in alive
        ]

    def _load(self, name: Name, manifest: Manifest, body: dict[str, Any]) -> None:
        context = (body.get("options") or {}).get("num_ctx", self._own(manifest, "num_ctx", 4096))
        seen = details(self.store, manifest, listed=True)
        until = now() + _duration(body.get("keep_alive"))
        self.loaded[self.store.existing(name)] = Loaded(manifest, seen, context, until)

    def _own(self, manifest: Manifest, parameter: str, default: int) -> int:
        for content in self.store.contents(manifest, "params"):
            return json.loads(content).get(parameter, default)
        return default


def _duration(keep_alive: Any) -> timedelta:
    """Seconds, or text as Go has it (``1h30m``); negative is for ever."""
    if keep_alive is None:
        return timedelta(minutes=5)
    if isinstance(keep_alive, str):
        parts = re.findall(r"([\d.]+)(ns|us|µs|ms|s|m|h)", keep_alive)
        if "".join(number + unit for number, unit in parts) != keep_alive.lstrip("+-"):
            raise Refused(400, f'time: invalid duration "{keep_alive}"')
        seconds = sum(float(number) * SECONDS[unit] for number, unit in parts)
        keep_alive = -1 if keep_alive.startswith("-") else seconds
    return EVER if keep_alive < 0 else min(timedelta(seconds=keep_alive), EVER)
