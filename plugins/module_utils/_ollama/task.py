# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One call of ollama_model: what is wanted, what is there, what is done. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.gpubox.llm.plugins.module_utils._docker import EngineError
from ansible_collections.gpubox.llm.plugins.module_utils._http import (
    ConnectError,
    Http,
    Request,
    Response,
    Transport,
)
from ansible_collections.gpubox.llm.plugins.module_utils._ollama import checks, gguf, plan, verify
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.apply import Applier
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.client import Model, Ollama, words
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.container import (
    address,
    models_dir,
)
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.look import look
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.names import Name, OllamaError
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.plan import MAKING, State, Step
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.pull import Limits
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.puller import Puller
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.registry import Registry
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.result import outcome
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.wanted import Wanted, read
from ansible_collections.gpubox.llm.plugins.module_utils._runner import Outcome, Task, TaskError

__all__ = ["act"]

SERVER_SECONDS = 5  # for a server that is just being restarted


def act(task: Task) -> Outcome:
    """Be ollama_model."""
    try:
        wanted = read(task.params["models"], _registry(task).fault)
        if task.params["concurrency"] < 1:
            raise OllamaError(
                f"concurrency is {task.params['concurrency']}. It has to be 1 or more."
            )
        url = task.params["url"] or _address(task)
        if not url:
            return _deferred(task, wanted)
        return _Call(task, wanted, url).run()
    except ConnectError as error:
        if not task.check_mode:
            raise
        task.warn(f"{error}. What follows takes it for a server that has no models yet.")
        return _deferred(task, wanted)
    except OllamaError as error:
        raise TaskError(str(error)) from error


def _address(task: Task) -> str:
    """Where the container answers; empty if it does not run, or in check mode if not even the engine does.

    One that is about to get another image is only looked at: the new one may be what a model needs.
    """
    try:
        image = "" if task.check_mode else task.params["image"]
        return address(task.params["container"], image or "") or ""
    except EngineError:
        if not task.check_mode:
            raise
        return ""


def _models_dir(task: Task) -> str:
    """Where the box has the models; empty if that is not known."""
    container = task.params["container"]
    return task.params["models_dir"] or (models_dir(container) if container else "") or ""


def _registry(task: Task, version: str = "") -> Registry:
    return Registry(
        _way_out(task),
        mirror=task.params["registry_mirror"] or "",
        allowed=task.params["registries"],
        insecure=task.params["insecure"],
        server_version=version,
    )


def _way_out(task: Task) -> Transport:
    """How registries are reached: by the proxy of the clone that pulls, if it has one."""
    given = {key.upper(): str(value) for key, value in task.params["environment"].items()}
    if not given.get("HTTPS_PROXY"):
        return task.transport(max_redirects=3)
    proxied = task.transport(proxies={"https": given["HTTPS_PROXY"]}, max_redirects=3)
    direct = task.transport(proxies={}, max_redirects=3)
    exceptions = [name.strip().lstrip(".") for name in given.get("NO_PROXY", "").split(",")]

    def send(request: Request) -> Response:
        host = f".{urlsplit(request.url).hostname}"
        is_exception = any(name and host.endswith(f".{name}") for name in exceptions)
        return (direct if is_exception else proxied)(request)

    return send


def _deferred(task: Task, wanted: Sequence[Wanted]) -> Outcome:
    """Nothing is there yet; check mode says what will be done once it is."""
    if not task.check_mode:
        return Outcome(False, {"models": [], "deferred": True})
    state = State(manifests={model.name: None for model in wanted if model.is_pulled})
    return outcome(plan.steps(wanted, state), state, None, {"deferred": True})


class _Call:
    """One call that reaches a server."""

    def __init__(self, task: Task, wanted: Sequence[Wanted], url: str) -> None:
        self._task = task
        self._params = task.params
        self._wanted = list(wanted)
        # A server on this box or in its network is not reached through a proxy.
        self._transport = task.transport(proxies=None if url.startswith("https:") else {})
        self._server = self._ollama(url)
        self._models_dir = _models_dir(task)
        self._said: dict[str, Any] = {"deferred": False}

    def run(self) -> Outcome:
        """Look, plan, check; then, unless in check mode, do it."""
        damage = self._damage()
        broken = {name for fault in damage for name in fault.models}
        wanted, state = look(self._server, self._wanted, self._asked_registry, broken)
        wanted += self._leftovers(state)
        steps = plan.steps(wanted, state, prune=self._params["prune"])
        if all(step.action == "none" for step in steps):
            return outcome(steps, state, None, self._said)
        self._check(steps, state)
        after = self._task.apply(lambda: self._carry_out(steps, state, damage), None)
        return outcome(steps, state, after, self._said)

    def _ollama(self, url: str) -> Ollama:
        key = self._params["api_key"]
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return Ollama(
            Http(url, self._transport, headers=headers, words=words, retry_seconds=SERVER_SECONDS)
        )

    def _asked_registry(self) -> Registry:
        """What a registry gives depends on the version that asks."""
        self._said["version"] = self._server.version()
        return _registry(self._task, self._said["version"])

    def _damage(self) -> list[verify.Fault]:
        if not self._params["verify"]:
            return []
        if not self._models_dir:
            raise OllamaError("verify: where the models are is not known. Set models_dir.")
        names = [model.name for model in self._wanted if model.state != "absent"]
        found = verify.faults(self._models_dir, names, self._task.progress.say)
        for fault in found:
            self._task.warn(f"{fault}. It is removed, and the model is pulled or created again.")
        return found

    def _leftovers(self, state: State) -> list[Wanted]:
        """The mirror's names of models, left by a run that was killed before it could remove them."""
        registry, listed = _registry(self._task), {model.name for model in self._wanted}
        origins = {m.name: registry.origin(m.name) for m in self._wanted if m.is_pulled}
        return [
            Wanted(origin, "absent")
            for name, origin in origins.items()
            if origin not in listed
            and state.digest(origin)
            and state.digest(name) == state.digest(origin)
        ]

    # -- before anything is changed --------------------------------------------------------------------------

    def _check(self, steps: Sequence[Step], state: State) -> None:
        faults, sizes = [], {}
        for step in steps:
            manifest = state.manifests.get(step.name) if step.action == "pull" else None
            if manifest:
                sizes[step.name] = manifest.size
            if step.action == "create" and step.wanted:
                try:
                    sizes[step.name] = _sent(step.wanted)
                except OllamaError as error:
                    faults.append(f"{step.name}: {error}")
        freed = sum(state.models[step.name].size for step in steps if step.action == "delete")
        faults.extend([*self._gpu(sizes), *self._disk(steps, state, freed)])
        if faults:
            raise OllamaError("\n".join(faults))

    def _gpu(self, sizes: Mapping[Name, int]) -> list[str]:
        memory, how = self._params["gpu_memory_bytes"], self._params["gpu_fit"]
        faults = checks.gpu_faults(sizes, memory) if memory and how != "ignore" else []
        if how == "refuse":
            return faults
        for fault in faults:
            self._task.warn(fault)
        return []

    def _disk(self, steps: Sequence[Step], state: State, freed: int = 0) -> list[str]:
        if not self._models_dir:
            return []
        pulled = [state.manifests.get(step.name) for step in steps if step.action == "pull"]
        needed = checks.to_fetch(filter(None, pulled), self._models_dir)
        needed += sum(_sent(s.wanted) for s in steps if s.action == "create" and s.wanted)
        keep = self._params["min_free_bytes"]
        fault = checks.disk_fault(needed, self._models_dir, keep=keep, freed=freed)
        return [fault] if fault else []

    # -- the change ------------------------------------------------------------------------------------------

    def _carry_out(
        self, steps: Sequence[Step], state: State, damage: Sequence[verify.Fault]
    ) -> dict[Name, Model]:
        limits = Limits(self._params["stall_seconds"], self._params["retries"])
        applier = Applier(
            server=self._server,
            pulling=self._pulling,
            registry=_registry(self._task),
            state=state,
            limits=limits,
            concurrency=self._params["concurrency"],
            progress=self._task.progress,
        )
        verify.repair(damage)
        applier.remove(steps)
        if any(step.action == "delete" for step in steps) and self._disk(steps, state):
            raise OllamaError("\n".join(self._disk(steps, state)))
        applier.fetch(steps)
        applier.create(steps)
        applier.load(steps)
        after = self._server.tags()
        lost = [step.name for step in steps if step.action in MAKING and step.name not in after]
        if lost:
            names = ", ".join(str(name) for name in lost)
            raise OllamaError(
                f"{names}: the server said success, but does not list it. Look into the server's log."
            )
        return after

    @contextmanager
    def _pulling(self, replaces: bool) -> Iterator[Ollama]:
        """The server that pulls: the one itself, or a clone of its container that may reach the registries."""
        params = self._params
        if not params["container"]:
            yield self._server
            return
        puller = Puller(
            container=params["container"],
            network=params["network"] or "",
            image=params["image"] or "",
            environment={key: str(value) for key, value in params["environment"].items()},
            ca_file=params["ca_file"] or "",
            say=self._task.progress.say,
        )
        with puller as url:
            puller.replaced = replaces
            yield self._ollama(url)


def _sent(wanted: Wanted) -> int:
    """Bytes of the files that a model is created from; OllamaError if one is not what it should be."""
    paths = [*filter(None, [wanted.options.get("file")]), *(wanted.options.get("adapters") or [])]
    return sum(gguf.check(path).size for path in paths)
