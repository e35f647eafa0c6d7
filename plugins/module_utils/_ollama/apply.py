# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carries out the plan for the whole list. Private to this collection."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._http import HttpError, StatusError
from ansible_collections.gpubox.llm.plugins.module_utils._ollama import create
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.client import Ollama
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.look import digests
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.names import Name, OllamaError
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.plan import State, Step, moved
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.pull import (
    Download,
    Limits,
    amount,
)
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.registry import Registry
from ansible_collections.gpubox.llm.plugins.module_utils._progress import Progress

__all__ = ["Applier"]


@dataclass(frozen=True)
class Applier:
    """Brings one server to what was planned."""

    server: Ollama
    pulling: Callable[[bool], AbstractContextManager[Ollama]]  # whether models are replaced
    registry: Registry
    state: State
    limits: Limits
    concurrency: int
    progress: Progress

    def remove(self, steps: Sequence[Step]) -> None:
        """Remove models; one that is in memory is taken out of it first."""
        names = [step.name for step in steps if step.action == "delete"]
        loaded = self.server.ps() if names else {}
        for name in names:
            if name in loaded:
                with suppress(StatusError):  # a damaged model can be removed, but not spoken to
                    self.server.unload(name)
            self.server.delete(name)
            self.progress.done(name.short, "removed")

    def fetch(self, steps: Sequence[Step]) -> None:
        """Pull, several at once; the error names every model that could not be pulled."""
        pulls = [step for step in steps if step.action == "pull"]
        # What replaces a model comes last: Ollama then removes the former one's files, also such as a model needs that
        # is just being pulled.
        new = [step for step in pulls if step.name not in self.state.models]
        replacing = [step for step in pulls if step.name in self.state.models]
        todo = [*new, *replacing]
        said: list[str] = []
        if not todo:
            return
        with self.pulling(bool(replacing)) as puller:
            with ThreadPoolExecutor(max_workers=self.concurrency) as pool:
                for wave in (new, replacing):
                    said += pool.map(lambda step: self._fetch_one(puller, step.name), wave)
            # One after the other: Ollama removes empty directories, which others may be about to use.
            for step, fault in zip(todo, said):
                if not fault:
                    self._rename(puller, step.name)
            faults = [*filter(None, said), *self._unlike_pinned(puller, todo)]
            if faults:
                raise OllamaError("\n".join(faults))

    def _fetch_one(self, puller: Ollama, name: Name) -> str:
        """Pull one model; what went wrong, if something did."""
        manifest, started = self.state.manifests.get(name), time.monotonic()
        try:
            Download(puller, self.limits, self._shower(name)).run(
                self.registry.origin(name),
                size=manifest.size if manifest else 0,
                insecure=self.registry.plain(name),
            )
        except (HttpError, OllamaError) as error:
            self.progress.done(name.short, "failed")
            return str(error)
        size = f" {amount(manifest.size)}" if manifest else ""
        self.progress.done(name.short, f"pulled{size} in {time.monotonic() - started:.0f} s")
        return ""

    def _rename(self, puller: Ollama, name: Name) -> None:
        """Give what came from the mirror its own name."""
        origin = self.registry.origin(name)
        if origin != name:
            puller.copy(origin, name)
            puller.delete(origin)

    def _unlike_pinned(self, puller: Ollama, todo: Sequence[Step]) -> list[str]:
        """What moved between the manifest that was checked and the download; it does not stay."""
        pinned = [step.wanted for step in todo if step.wanted and step.wanted.digest]
        now, faults = puller.tags() if pinned else {}, []
        for model in pinned:
            there = now.get(model.name)
            if there and there.digest != model.digest:
                self.server.delete(model.name)
                where = self.registry.origin(model.name).host
                faults.append(f"{moved(model, there.digest, where)} It was removed again.")
        return faults

    def create(self, steps: Sequence[Step]) -> None:
        """Create one after the other; the list has each after the one that it is created from."""
        for step in steps:
            if step.action == "create" and step.wanted:
                self._create_one(step.name, step.wanted.options)

    def _create_one(self, name: Name, options: Mapping[str, Any]) -> None:
        show = self._shower(name)
        show("reading its files")
        files = digests(options)
        for path, digest in files.items():
            if not self.server.has_blob(f"sha256:{digest}"):
                show(f"sending {path}")
                self.server.push_blob(f"sha256:{digest}", path)
        try:
            for event in self.server.create(create.payload(options, files)):
                show(event.status)
        except (HttpError, OllamaError) as error:
            self.progress.done(name.short, "failed")
            raise OllamaError(f"{name} cannot be created: {error}") from error
        self.progress.done(name.short, "created")

    def load(self, steps: Sequence[Step]) -> None:
        """Bring models into memory or take them out of it, as the list says."""
        for step in steps:
            if not step.wanted or step.action in ("none", "delete"):
                continue
            if step.wanted.loaded:
                self._shower(step.name)("loading")
                keep_alive = step.wanted.options.get("keep_alive")
                self.server.load(step.name, _duration(keep_alive))
                self.progress.done(step.name.short, "loaded")
            elif step.wanted.loaded is False and step.name in self.state.loaded:
                self.server.unload(step.name)
                self.progress.done(step.name.short, "unloaded")

    def _shower(self, name: Name) -> Callable[[str], None]:
        return lambda text: self.progress.state(name.short, text)


def _duration(value: Any) -> Any:
    """Seconds as a number, anything else as text, as Ollama tells them apart."""
    text = str(value)
    return int(text) if re.fullmatch(r"-?\d+", text) else value
