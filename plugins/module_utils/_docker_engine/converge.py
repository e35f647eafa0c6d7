# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings Docker Engine of a box to its wanted state, by what it finds there. Private to this collection."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine import daemon as _daemon
from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine.box import (
    TRUST,
    Changes,
    ca_mark,
    keep_lan_out,
)
from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine.daemon import HostError
from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine.host import (
    Engine,
    Host,
    Process,
    read,
    write,
)

__all__ = ["Look", "converge", "look"]

CONFIG = "/etc/docker/daemon.json"
STATE = "/var/lib/gpubox/docker_engine.json"


class Look(NamedTuple):
    """What is there, engine and command line plugins."""

    version: str | None  # of the engine that answers, else of the dockerd that is installed
    info: Mapping[str, Any] | None  # None when no engine answers
    process: Process | None
    compose: str | None
    buildx: str | None  # its path: no version of it matters, and asking takes a tenth of a second

    @property
    def foreign(self) -> bool:
        """An engine answers that is no process of this box: Docker Desktop, or one that somebody forwarded."""
        return self.info is not None and self.process is None


def look(host: Host) -> Look:
    """See which engine is there."""
    engine = Engine()
    answer = engine.get("/version")
    parts = [part.get("Name", "") for part in (answer or {}).get("Components") or []]
    if any("Podman" in name for name in parts):
        raise HostError(
            "docker_host: Podman answers on Docker's socket. Remove podman-docker and disable podman.socket; "
            "Compose projects with health checks need Docker Engine."
        )
    version = answer["Version"] if answer else host.dockerd_version()
    client = shutil.which("docker")
    return Look(
        version,
        engine.get("/info") if answer else None,
        host.process(),
        compose=host.plugin_version("compose") if client else None,
        buildx=host.plugin("buildx") if client else None,
    )


class _Config(NamedTuple):
    """daemon.json: where, what it says, what it shall say, and what had been ours."""

    path: str
    text: str | None
    current: Mapping[str, Any]
    target: Mapping[str, Any]
    wanted: Mapping[str, Any]
    state: Mapping[str, Any]


def converge(host: Host, seen: Look, params: Mapping[str, Any], changes: Changes) -> None:
    """Write daemon.json, make the engine use it, and keep the LAN out where the engine does not."""
    config = _plan_config(seen, params["config"])
    step, why = _step(config, seen)
    written = config.current != config.target
    if written:
        _write_config(host, config, seen, changes)
    _drive(host, config, seen, (step, why), params["start_timeout"], changes, restore=written)
    if not host.enabled() and changes.act("enable docker.service"):
        host.command("systemctl", "enable", "docker.service")
    keep_lan_out(host, seen.version, config.target, params["lan_drop"], changes)
    _remember(host, config, step, changes)


def _plan_config(seen: Look, wanted: Mapping[str, Any]) -> _Config:
    path = _flag(seen.process, "--config-file") or CONFIG
    text = read(path)
    current = _daemon.parse(text, path)
    state = json.loads(read(STATE) or "{}")
    wanted = {key: value for key, value in wanted.items() if value is not None}
    if ((seen.info or {}).get("Swarm") or {}).get("LocalNodeState") == "active":
        wanted.pop("live-restore", None)  # dockerd does not start with both
    _daemon.check(wanted)
    target = _daemon.merge(current, wanted, state.get("managed", {}))
    return _Config(path, text, current, target, wanted, state)


def _flag(process: Process | None, name: str) -> str | None:
    words = list(process.argv) if process else []
    for word, following in zip(words, [*words[1:], ""]):
        if word == name:
            return following
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None


def _step(config: _Config, seen: Look) -> tuple[str, Sequence[str]]:
    """Decide by state: what the engine has loaded against what it shall use."""
    process = seen.process
    if process is None:
        return "start", []
    memory = config.state.get("loaded", {})
    known: Mapping[str, Any] | None = None
    ca_loaded = True
    if memory.get("engine") == process.identity:
        known, ca_loaded = memory["config"], memory["ca"] == ca_mark()
    else:
        known = config.current if _before(config.path, process.started) else None
        ca_loaded = all(_before(row[1], process.started) for row in TRUST)
    loaded = _daemon.Loaded(known, _daemon.observed(seen.info or {}))
    keys = {*config.wanted, *config.state.get("managed", {})}
    step, why = _daemon.decide(keys, config.target, loaded)
    return (step, why) if ca_loaded else ("restart", [*why, "company CA"])


def _before(path: str, moment: float) -> bool:
    """Tell whether a file, if it is there, has been as it is since before ``moment``."""
    try:
        return os.stat(path).st_ctime < moment
    except OSError:
        return True


def _write_config(host: Host, config: _Config, seen: Look, changes: Changes) -> None:
    after = _daemon.render(config.target)
    if shutil.which("dockerd"):
        argv = list(seen.process.argv) if seen.process else host.unit_argv()
        try:
            host.command(
                "dockerd",
                "--validate",
                "--config-file",
                "/dev/stdin",
                *_daemon.flags(argv),
                data=after,
            )
        except HostError as error:
            raise HostError(
                f"dockerd refuses what {config.path} would say: {_reason(error, config)}. Nothing was "
                f"changed. Keys set here: {', '.join(sorted(config.wanted))} (docker_host_* variables). "
                "A setting that dockerd also gets as a flag has to leave its unit or /etc/default/docker."
            ) from error
    secret = re.search(r"//[^/@\s\"]+@", after) is not None
    mode = os.stat(config.path).st_mode & 0o777 if config.text is not None else 0o644
    changes.file(config.path, config.text, after, 0o600 if secret else mode)


def _reason(error: HostError, config: _Config) -> str:
    return str(error).partition("failed: ")[2].replace("/dev/stdin", config.path)


def _drive(
    host: Host,
    config: _Config,
    seen: Look,
    plan: tuple[str, Sequence[str]],
    timeout: int,
    changes: Changes,
    *,
    restore: bool,
) -> None:
    step, why = plan
    if step == "none":
        return
    reason = f" for {', '.join(why)}" if why else ""
    if not changes.act(f"{step} Docker Engine{reason}"):
        return
    if step == "reload":
        host.reload()
        return
    info = seen.info or {}
    if (
        step == "restart"
        and config.target.get("live-restore")
        and not info.get("LiveRestoreEnabled")
    ):
        host.reload()  # live-restore leaves containers running over a restart: switch it on first
        _wait(lambda: bool((Engine().get("/info") or {}).get("LiveRestoreEnabled")))
    try:
        host.start(timeout, seen.process)
    except HostError as error:
        if not restore or seen.process is None:
            raise
        write(config.path, config.text or "{}\n")
        host.start(timeout, seen.process)
        # The file is younger than the engine may look: process start times come in hundredths of a second.
        if process := host.process():
            _save({**config.state, "loaded": _loaded(process, config.current)})
        raise HostError(
            f"{error}\n{config.path} is as it was, and the engine runs with it again."
        ) from error


def _wait(done: Callable[[], bool], seconds: float = 10) -> None:
    end = time.time() + seconds
    while not done() and time.time() < end:
        time.sleep(0.1)


def _remember(host: Host, config: _Config, step: str, changes: Changes) -> None:
    """Keep what is ours in daemon.json, and what this very engine process has loaded."""
    process = None if changes.dry else host.process()
    if process is None:
        return
    loaded = config.state.get("loaded", {})
    if step != "none":
        _verify(config)
        loaded = _loaded(process, config.target)
    state = {"managed": config.wanted, "loaded": loaded}
    if state != config.state:
        _save(state)


def _loaded(process: Process, config: Mapping[str, Any]) -> dict[str, Any]:
    return {"engine": process.identity, "config": config, "ca": ca_mark()}


def _save(state: Mapping[str, Any]) -> None:
    write(STATE, json.dumps(state), 0o600)


def _verify(config: _Config) -> None:
    """Fail when the engine, asked after all was done, still says otherwise."""
    _wait(lambda: not _otherwise(config))
    if why := _otherwise(config):
        raise HostError(
            f"Docker Engine does not take over {', '.join(why)} from {config.path}. Something that starts it overrides "
            "the file: look for flags of dockerd in its unit or in /etc/default/docker."
        )


def _otherwise(config: _Config) -> Sequence[str]:
    shown = _daemon.observed(Engine().get("/info") or {})
    keys = [key for key in config.wanted if key in shown]
    return _daemon.decide(keys, config.target, _daemon.Loaded(None, shown))[1]
