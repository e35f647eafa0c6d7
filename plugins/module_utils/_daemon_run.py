# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings Docker Engine of a box to its wanted state, by what it finds there. Private to this collection."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.gpubox.llm.plugins.module_utils import _daemon, _daemon_lan
from ansible_collections.gpubox.llm.plugins.module_utils._daemon import HostError
from ansible_collections.gpubox.llm.plugins.module_utils._daemon_host import (
    Engine,
    Host,
    Process,
    read,
    write,
)

__all__ = ["Changes", "Look", "converge", "look", "trust"]

CONFIG = "/etc/docker/daemon.json"
STATE = "/var/lib/gpubox/docker_engine.json"
TRUST = (  # the command that rebuilds the bundle, where it takes certificates from, the bundle
    (
        "update-ca-certificates",
        "/usr/local/share/ca-certificates/gpubox-company.crt",
        "/etc/ssl/certs/ca-certificates.crt",
    ),
    (
        "update-ca-trust",
        "/etc/pki/ca-trust/source/anchors/gpubox-company.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
    ),
)


class Changes:
    """Collects what is done; in check mode it is only said."""

    def __init__(self, check_mode: bool) -> None:
        self.dry = check_mode
        self.actions: list[str] = []
        self.diff: list[dict[str, str]] = []

    def act(self, what: str) -> bool:
        """Note an action and tell whether it is to be carried out."""
        self.actions.append(what)
        return not self.dry

    def file(self, path: str, before: str | None, after: str, mode: int = 0o644) -> None:
        """Write a file whose text is not ``before``."""
        shown = [re.sub(r"//[^/@\s\"]+@", "//********@", text) for text in (before or "", after)]
        self.diff.append(
            {"before_header": path, "after_header": path, "before": shown[0], "after": shown[1]}
        )
        if self.act(f"write {path}"):
            write(path, after, mode)

    def result(self) -> dict[str, Any]:
        """Return what the module says of the changes."""
        steps = [text for text in self.actions if not text.startswith("write ")]
        prepared = [{"prepared": "\n".join(steps) + "\n"}] if steps else []
        return {
            "changed": bool(self.actions),
            "actions": self.actions,
            "diff": self.diff + prepared,
        }


class Look(NamedTuple):
    """What is there, engine and command line plugins."""

    version: str | None  # of the engine that answers, else of the dockerd that is installed
    info: Mapping[str, Any] | None  # None when no engine answers
    process: Process | None
    compose: str | None
    buildx: str | None

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
    plugins = [
        host.plugin_version(name) if shutil.which("docker") else None
        for name in ("compose", "buildx")
    ]
    return Look(version, engine.get("/info") if answer else None, host.process(), *plugins)


def trust(host: Host, pem: str, changes: Changes) -> None:
    """Make the box trust the company's CA, or no longer trust one that is not given any more."""
    command, path, bundle = next((row for row in TRUST if shutil.which(row[0])), TRUST[0])
    text, mine = pem.strip() + "\n" if pem.strip() else None, read(path)
    if text and ("-----BEGIN CERTIFICATE-----" not in text or "PRIVATE KEY-----" in text):
        raise HostError(
            f"docker_host_ca_file: {text.splitlines()[0][:60]!r} is neither PEM certificates nor a file on the controller "
            "that holds them, and nothing else."
        )
    if text == mine and _trusted(bundle, text):
        return
    if mine is None and text and _trusted(bundle, text):
        return  # somebody else has made the box trust it
    if text:
        changes.file(path, mine, text)
    elif changes.act(f"remove {path}"):
        os.unlink(path)
    if shutil.which(command) and changes.act(f"run {command}"):
        host.command(command)


def _trusted(bundle: str, text: str | None) -> bool:
    known, asked = (re.sub(r"\s", "", pem or "") for pem in (read(bundle), text))
    return all(body in known for body in re.findall(r"BEGINCERTIFICATE-+(.+?)-+END", asked))


def _ca_mark() -> str:
    return "".join(
        hashlib.sha256((read(row[1]) or "").encode()).hexdigest()
        for row in TRUST
        if os.path.exists(row[1])
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
    _lan(host, seen, config.target, params["lan_drop"], changes)
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
        known, ca_loaded = memory["config"], memory["ca"] == _ca_mark()
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
        raise HostError(
            f"{error}\n{config.path} is as it was, and the engine runs with it again."
        ) from error


def _wait(done: Callable[[], bool], seconds: float = 10) -> None:
    end = time.time() + seconds
    while not done() and time.time() < end:
        time.sleep(0.1)


def _lan(host: Host, seen: Look, config: Mapping[str, Any], wanted: bool, changes: Changes) -> None:
    answer = Engine().get("/version")
    version = _daemon.version_tuple(answer["Version"] if answer else seen.version)
    if not wanted or not _daemon_lan.needed(version, config):
        _lan_remove(host, changes)
        return
    text = _daemon_lan.rules(_daemon_lan.networks(config, Engine().get("/networks") or []))
    unit = _daemon_lan.UNIT_TEXT
    files = {_daemon_lan.PATH: text}
    if host.init == "systemd":
        files[_daemon_lan.UNIT_PATH] = unit
    stale = {path: new for path, new in files.items() if read(path) != new}
    for path, new in stale.items():
        changes.file(path, read(path), new)
    if host.init == "systemd" and _daemon_lan.UNIT_PATH in stale and not changes.dry:
        host.command("systemctl", "daemon-reload")
        host.command("systemctl", "enable", _daemon_lan.UNIT)
    listing = host.try_command("nft", "list", "table", *_daemon_lan.TABLE.split())[1]
    if not _daemon_lan.in_force(listing, text) and changes.act("load the drop of LAN traffic"):
        _load(host)


def _load(host: Host) -> None:
    try:
        host.command("nft", "-f", _daemon_lan.PATH)
        if host.init == "systemd":
            host.command("systemctl", "start", _daemon_lan.UNIT)
    except HostError as error:
        raise HostError(
            f"docker_host_lan_drop: this kernel does not take the rules that keep the LAN from containers: {error} "
            "Use Docker Engine 28 or newer, which needs none, or set docker_host_lan_drop: false on a trusted network."
        ) from error


def _lan_remove(host: Host, changes: Changes) -> None:
    there = [path for path in (_daemon_lan.PATH, _daemon_lan.UNIT_PATH) if os.path.exists(path)]
    if not there or not changes.act("remove the drop of LAN traffic"):
        return
    if host.init == "systemd":
        host.try_command("systemctl", "disable", "--now", _daemon_lan.UNIT)
    host.try_command("nft", "delete", "table", *_daemon_lan.TABLE.split())
    for path in there:
        os.unlink(path)


def _remember(host: Host, config: _Config, step: str, changes: Changes) -> None:
    """Keep what is ours in daemon.json, and what this very engine process has loaded."""
    process = None if changes.dry else host.process()
    if process is None:
        return
    loaded = config.state.get("loaded", {})
    if step != "none":
        _verify(config)
        loaded = {"engine": process.identity, "config": config.target, "ca": _ca_mark()}
    state = {"managed": config.wanted, "loaded": loaded}
    if state != config.state:
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
