# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carries out what was planned for a native Ollama. Private to this collection.

The old program is kept until the new one answers. A run that dies in between leaves it there, and the next run installs
anew; whatever fails after that still goes back to the program that was good.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from ansible_collections.gpubox.llm.plugins.module_utils._files import replace
from ansible_collections.gpubox.llm.plugins.module_utils._http import Http, HttpError, transport
from ansible_collections.gpubox.llm.plugins.module_utils._ollama_native import archive, paths
from ansible_collections.gpubox.llm.plugins.module_utils._ollama_native.look import (
    Seen,
    client_version,
    command,
    service,
    stamp,
    try_command,
)
from ansible_collections.gpubox.llm.plugins.module_utils._ollama_native.plan import Plan, Wanted
from ansible_collections.gpubox.llm.plugins.module_utils._runner import Task, TaskError

__all__ = ["converge", "foreign_models", "retire"]

PARTS = ((paths.BINARY, archive.BINARY), (paths.LIBRARY, archive.LIBRARY))
MODES = {paths.SETTINGS: 0o600}
STORE = ("blobs", "manifests")


def foreign_models(models: str) -> bool:
    """Tell whether the models' directory is missing or not the service's; refuse one that holds something else."""
    try:
        names = set(os.listdir(models)) - {"lost+found"}
    except FileNotFoundError:
        return True
    except OSError as error:
        raise TaskError(
            f"models_dir: {models}: {error.strerror}. Name a directory for models alone."
        ) from error
    if names and not names & set(STORE):
        raise TaskError(
            f"models_dir: {models} holds other things than models ({sorted(names)[0]!r} for one), and the service is "
            "to own it. Name a directory for models alone."
        )
    return bool(_foreign(models))


def _foreign(models: str) -> list[str]:
    """Return those directories of the store that are not the service's."""
    there = [models, *(os.path.join(models, name) for name in STORE)]
    try:
        uid = pwd.getpwnam(paths.USER).pw_uid
    except KeyError:
        uid = -1
    return [path for path in there if os.path.isdir(path) and os.stat(path).st_uid != uid]


def converge(task: Task, seen: Seen, wanted: Wanted, plan: Plan) -> None:
    """Do all of it; a service that does not come up again is put back to what it was."""
    with _system_errors():
        _account(plan, wanted.models)
        if plan.install:
            _stage(task, wanted)
        for path, text in plan.files.items():
            _write(path, text)
        _systemd(plan)
        if plan.load:
            command("nft", "-f", paths.TABLE)
        if plan.drive:
            _drive(task, seen, wanted, plan)
        _finish(seen, wanted, plan)


@contextmanager
def _system_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        shutil.rmtree(paths.STAGED, ignore_errors=True)
        what = f"{error.filename}: " if error.filename else ""
        raise TaskError(
            f"{what}{error.strerror}. What is there still works; cure that and run again."
        ) from error


def _account(plan: Plan, models: str) -> None:
    if plan.account:
        words = ["useradd", "--system", "--user-group", "--create-home", "--shell", "/bin/false"]
        command(*words, "--home-dir", paths.HOME, paths.USER)
    if plan.groups:
        command("usermod", "--append", "--groups", ",".join(plan.groups), paths.USER)
    if plan.own_models:
        _own(models)


def _own(models: str) -> None:
    account = pwd.getpwnam(paths.USER)
    made, path = [], models
    while not os.path.isdir(path):
        made.append(path)
        path = os.path.dirname(path)
    for path in reversed(made):
        os.mkdir(path, 0o755)
        os.chown(path, account.pw_uid, account.pw_gid)
    for path in _foreign(models):
        if path == models:
            os.chown(path, account.pw_uid, account.pw_gid)
        else:
            command("chown", "--recursive", "--no-dereference", f"{paths.USER}:", path)


def _stage(task: Task, wanted: Wanted) -> None:
    """Unpack the archives beside what they replace."""
    shutil.rmtree(paths.STAGED, ignore_errors=True)
    source = task.transport(max_redirects=5)
    files = [archive.fetch(item, source) for item in wanted.archives]
    size = archive.survey(files)
    os.makedirs(os.path.dirname(paths.STAGED), exist_ok=True)
    archive.room(os.path.dirname(paths.STAGED), size, f"Ollama {wanted.version}")
    os.makedirs(paths.STAGED, 0o755)
    archive.unpack(files, paths.STAGED)
    version = client_version(os.path.join(paths.STAGED, archive.BINARY))
    if version != wanted.version:
        shutil.rmtree(paths.STAGED)
        raise TaskError(
            f"archives: the archive holds Ollama {version}, not {wanted.version}. Nothing was changed; let version and "
            "archives name the same release, for this kind of processor."
        )


def _write(path: str, text: str) -> None:
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o755, exist_ok=True)
    replace(path, text, MODES.get(path, 0o644))


def _systemd(plan: Plan) -> None:
    if plan.reload:
        command("systemctl", "daemon-reload")
    if plan.enable:
        command("systemctl", "enable", paths.SERVICE)


def _drive(task: Task, seen: Seen, wanted: Wanted, plan: Plan) -> None:
    try:
        if plan.install:
            try_command("systemctl", "stop", paths.SERVICE)
            _swap()
        try_command("systemctl", "reset-failed", paths.SERVICE)
        try_command("systemctl", "restart", paths.SERVICE)
        _wait(seen, wanted, task.params["start_timeout"])
    except TaskError as error:
        if not seen.service.running and not os.path.exists(_kept(archive.BINARY)):
            raise  # there is nothing to go back to
        _go_back(seen.texts, plan)
        raise TaskError(
            f"{error}\nThe program and the settings that were there before are back."
        ) from error


def _kept(name: str) -> str:
    return os.path.join(paths.KEPT, os.path.dirname(name))


def _swap() -> None:
    """Put what is staged in place; the first thing that was found there is kept, also over runs that died."""
    os.makedirs(paths.KEPT, 0o755, exist_ok=True)
    for current, name in PARTS:
        kept, new = _kept(name), os.path.join(paths.STAGED, name)
        if os.path.lexists(current) and not os.path.lexists(kept):
            os.replace(current, kept)
        _remove(current)
        if os.path.exists(new):
            os.makedirs(os.path.dirname(current), 0o755, exist_ok=True)
            os.replace(new, current)
    shutil.rmtree(paths.STAGED)


def _go_back(texts: Mapping[str, str | None], plan: Plan) -> None:
    """Bring back the program that was kept and the texts that were there."""
    if plan.install:
        for current, name in PARTS:
            kept = _kept(name)
            _remove(current)
            if os.path.lexists(kept):
                os.replace(kept, current)
        shutil.rmtree(paths.KEPT, ignore_errors=True)
    for path in plan.files:
        before = texts.get(path)
        if before is None:
            _remove(path)
        else:
            _write(path, before)
    try_command("systemctl", "daemon-reload")
    try_command("systemctl", "restart", paths.SERVICE)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        with suppress(FileNotFoundError):
            os.unlink(path)


def _wait(seen: Seen, wanted: Wanted, seconds: int) -> None:
    """Wait until the wanted version answers where it is to listen."""
    url = f"http://{seen.bridge.address}:{wanted.port}"
    server = Http(url, transport(connect_seconds=2, stall_seconds=5, proxies={}), retry_seconds=0)
    end, answer, pids = time.monotonic() + seconds, "", [""]
    while time.monotonic() < end and not _hopeless():
        now = service()
        pids.append(now.states["MainPID"] if now.running else "")
        try:
            version = server.json("GET", "/api/version").get("version")
            # Twice by the same process: the answer could be another server's that has the port.
            if version == wanted.version and pids[-1] and pids[-1] == pids[-2]:
                return
            answer = f"version {version} answers there. "
        except HttpError as error:
            answer = f"{error}. "
        time.sleep(0.2)
    _good, log = try_command(
        "journalctl", "-u", paths.SERVICE, "-n", "12", "--no-pager", "-o", "cat"
    )
    raise TaskError(
        f"Ollama {wanted.version} does not answer at {url}: {answer}The last lines of its log "
        f"(journalctl -u {paths.SERVICE}):\n{log.strip()}"
    )


def _hopeless() -> bool:
    _good, said = try_command("systemctl", "show", paths.SERVICE, "--property=NRestarts", "--value")
    return said.strip().isdigit() and int(said) >= 3


def _finish(seen: Seen, wanted: Wanted, plan: Plan) -> None:
    """Remember what is ours, and forget what is no longer needed."""
    checksums = (
        [item.checksum for item in wanted.archives]
        if plan.install
        else seen.state.get("checksums") or []
    )
    if not plan.install and stamp() != seen.state.get("stamp"):
        checksums = []  # somebody else put this program there
    state = {
        "version": wanted.version,
        "stamp": stamp(),
        "checksums": checksums,
        "account": plan.account or bool(seen.state.get("account")),
    }
    _save(state)
    for path in (paths.KEPT, paths.STAGED, paths.DOWNLOADS):
        _remove(path)


def _save(state: dict[str, object]) -> None:
    os.makedirs(os.path.dirname(paths.STATE), exist_ok=True)
    replace(paths.STATE, json.dumps(state), 0o600)


def retire(seen: Seen, plan: Plan) -> None:
    """Remove what was planned; a user that stays is remembered as ours."""
    with _system_errors():
        if plan.stop:
            command("systemctl", "disable", "--now", paths.SERVICE)
        for path in plan.remove:
            _remove(path)
        if plan.reload:
            command("systemctl", "daemon-reload")
        if plan.unload:
            command("nft", "delete", "table", "ip", "gpubox_ollama")
        if plan.drop_account:
            try_command("userdel", "--remove", paths.USER)
        elif seen.state.get("account") and paths.STATE in plan.remove:
            _save({"account": True})
        with suppress(OSError):
            os.rmdir(os.path.dirname(paths.DROP_IN))
