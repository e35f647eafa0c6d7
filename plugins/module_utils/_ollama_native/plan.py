# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What differs between a box and a native Ollama as it is wanted, as steps. Pure; private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine.lan import in_force
from ansible_collections.gpubox.llm.plugins.module_utils._ollama_native import paths, table, unit
from ansible_collections.gpubox.llm.plugins.module_utils._ollama_native.archive import Archive
from ansible_collections.gpubox.llm.plugins.module_utils._ollama_native.look import Seen

__all__ = ["Plan", "Wanted", "absent", "ours", "present", "shown"]


@dataclass(frozen=True)
class Wanted:
    """What is asked for."""

    version: str
    archives: Sequence[Archive]
    environment: Mapping[str, str]
    models: str
    port: int


@dataclass(frozen=True)
class Plan:
    """What is to be done; nothing where everything is empty."""

    packages: Sequence[str] = ()
    account: bool = False
    groups: Sequence[str] = ()
    own_models: bool = False
    install: bool = False
    files: Mapping[str, str] = field(default_factory=dict)
    reload: bool = False
    enable: bool = False
    load: bool = False
    drive: str = ""  # start or restart
    why: Sequence[str] = ()
    remove: Sequence[str] = ()  # paths
    stop: bool = False
    unload: bool = False
    drop_account: bool = False
    actions: Sequence[str] = ()


def present(seen: Seen, wanted: Wanted, *, own_models: bool) -> Plan:
    """Compare; ``own_models`` says that the models' directory is missing or not the service's."""
    texts = _texts(seen, wanted)
    files = {path: text for path, text in texts.items() if seen.texts.get(path) != text}
    install = _installs(seen, wanted)
    drive, why = _drive(seen, wanted, install)
    states = seen.service.states
    plan = Plan(
        packages=[name for name in seen.absent if name != "zstd" or (install and _zstd(wanted))],
        account=not seen.user,
        groups=seen.groups,
        own_models=own_models,
        install=install,
        files=files,
        reload=states.get("NeedDaemonReload") == "yes"
        or any(path in files for path in (paths.UNIT, paths.DROP_IN)),
        enable=not seen.service.enabled,
        load=not in_force(seen.listing, texts[paths.TABLE]),
        drive=drive,
        why=why,
    )
    return _said(plan, seen, wanted)


def _texts(seen: Seen, wanted: Wanted) -> dict[str, str]:
    address, programs = seen.bridge.address, seen.programs
    texts = {
        paths.TABLE: table.rules(address, wanted.port, seen.lan),
        paths.SETTINGS: unit.settings(wanted.environment, address, wanted.port, wanted.models),
        paths.DROP_IN: unit.drop_in(seen.bridge.name, address, programs["ip"], programs["nft"]),
        paths.PROFILE: unit.profile(address, wanted.port),
    }
    if not seen.unit_path or ours(seen):
        texts[paths.UNIT] = unit.unit()
    return texts


def ours(seen: Seen) -> bool:
    """Tell whether the unit was written by this module."""
    return (seen.texts.get(paths.UNIT) or "").startswith(unit.MARK)


def _installs(seen: Seen, wanted: Wanted) -> bool:
    """Tell whether another program than the wanted one is there; whoever put the right version there."""
    other = seen.state.get("checksums") and seen.state["checksums"] != [
        a.checksum for a in wanted.archives
    ]
    return seen.unfinished or seen.version != wanted.version or bool(other)


def _zstd(wanted: Wanted) -> bool:
    return not all(
        item.source.partition("?")[0].endswith((".tgz", ".tar.gz")) for item in wanted.archives
    )


def _drive(seen: Seen, wanted: Wanted, install: bool) -> tuple[str, list[str]]:
    service = seen.service
    if not service.running:
        return "start", []
    expected = {
        **seen.inherited,
        **wanted.environment,
        "OLLAMA_HOST": f"{seen.bridge.address}:{wanted.port}",
        "OLLAMA_MODELS": wanted.models,
    }
    names = {*expected, *(name for name in service.environ if name.startswith("OLLAMA_"))}
    why = sorted(name for name in names if service.environ.get(name) != expected.get(name))
    if service.program != paths.BINARY and not install:
        why.append("the program")
    if service.user != paths.USER:
        why.append("the user")
    return ("restart" if why or install else ""), why


def _said(plan: Plan, seen: Seen, wanted: Wanted) -> Plan:
    reason = f" for {', '.join(plan.why)}" if plan.why else ""
    now = f" (now {seen.version})" if seen.version else ""
    rows = [
        (plan.packages, f"install packages {', '.join(plan.packages)}"),
        (plan.account, f"create the user {paths.USER}"),
        (plan.groups, f"add the user {paths.USER} to {', '.join(plan.groups)}"),
        (plan.own_models, f"give {wanted.models} to the user {paths.USER}"),
        (plan.install, f"install Ollama {wanted.version}{now}"),
        *((True, f"write {path}") for path in plan.files),
        (plan.reload, "reload systemd"),
        (plan.enable, f"enable {paths.SERVICE}"),
        (plan.load, "load the table that keeps the LAN out"),
        (plan.drive, f"{plan.drive} Ollama{reason}"),
    ]
    return _with(plan, [text for needed, text in rows if needed])


def absent(seen: Seen, found: Sequence[str], *, keep_models: bool) -> Plan:
    """Plan the removal of what this module installed; ``found`` are what exists of it besides texts."""
    texts = [path for path, text in seen.texts.items() if text is not None]
    remove = [path for path in texts if path != paths.UNIT or ours(seen)] + list(found)
    plan = Plan(
        stop=bool(seen.unit_path and remove) and (seen.service.running or seen.service.enabled),
        remove=remove,
        reload=any(path in remove for path in (paths.UNIT, paths.DROP_IN)),
        unload=bool(seen.listing),
        drop_account=not keep_models and seen.user and bool(seen.state.get("account")),
    )
    rows = [
        (plan.stop, f"stop and disable {paths.SERVICE}"),
        *((True, f"remove {path}") for path in plan.remove),
        (plan.reload, "reload systemd"),
        (plan.unload, "remove the table that keeps the LAN out"),
        (plan.drop_account, f"remove the user {paths.USER}"),
    ]
    return _with(plan, [text for needed, text in rows if needed])


def shown(seen: Seen, plan: Plan, version: str) -> tuple[str, str]:
    """Return the box before and after ``plan`` as texts, for a diff; nothing secret is in them."""
    state = "running with something else" if plan.why else "running"
    before = {
        "program": seen.version or "none",
        "service": state if seen.service.running else "stopped",
        "user": "there"
        if seen.user and not plan.groups
        else "other groups"
        if seen.user
        else "none",
        "models": "not the service's" if plan.own_models else "as they are",
        "table": "not in force" if plan.load else "in force" if seen.listing else "none",
    }
    gone = {"program": paths.BINARY in plan.remove, "service": plan.stop, "user": plan.drop_account}
    gone["table"] = plan.unload
    done = {
        "program": version if plan.install else before["program"],
        "service": "running" if plan.drive else before["service"],
        "user": "there" if plan.account or plan.groups else before["user"],
        "models": "the service's" if plan.own_models else before["models"],
        "table": "in force" if plan.load else before["table"],
    }
    after = {name: "none" if gone.get(name) else value for name, value in done.items()}
    texts = {**seen.texts, **plan.files, **dict.fromkeys(plan.remove)}
    return _lines(before, seen.texts), _lines(after, {path: texts[path] for path in seen.texts})


def _lines(facts: Mapping[str, str], texts: Mapping[str, str | None]) -> str:
    head = [f"{name}: {value}\n" for name, value in facts.items()]
    body = [
        f"\n{path}:\n{unit.masked(text)}"
        for path, text in sorted(texts.items())
        if text is not None
    ]
    return "".join([*head, *body])


def _with(plan: Plan, actions: Sequence[str]) -> Plan:
    values: dict[str, Any] = {**vars(plan), "actions": actions}
    return Plan(**values)
