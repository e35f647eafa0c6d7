# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stack's directory on the box. Private to this collection.

::

    <home>/compose.yaml                          the whole project; `docker compose ps` works here
    <home>/.last-good.yaml                       the same after the last successful run: where a failed run goes back to
    <home>/.key                                  keys the hashes in labels and directory names
    <home>/secrets/<name>                        every secret, 0400 root, in a 0700 directory
    <home>/services/<service>/files/<hash>/      one generation of configuration files, owned by the container's user
    <home>/services/<service>/files/current      the generation in use, for services that reload
    <home>/services/<service>/secrets/<hash>/    one generation of secret files

A generation is written under a temporary name and renamed, so that a reader sees all of it or nothing.
"""

from __future__ import annotations

import fcntl
import os
import secrets as random
import shutil
import string
import tempfile
import time
from collections.abc import Mapping
from typing import Any, Callable

from ansible_collections.gpubox.llm.plugins.module_utils import _files
from ansible_collections.gpubox.llm.plugins.module_utils._stack.service import (
    Service,
    named_volumes,
)

__all__ = ["LockTimeout", "StackHome", "generate_secret"]

ALPHABET = string.ascii_letters + string.digits


class LockTimeout(RuntimeError):
    """Another run holds the stack for longer than this one may wait."""


def generate_secret(length: int = 32, alphabet: str = "", prefix: str = "") -> str:
    """A new random secret of ``length`` characters after ``prefix``."""
    letters = alphabet or ALPHABET
    return prefix + "".join(random.choice(letters) for _unused in range(length))


class StackHome:
    """Reads and writes the files of one stack. Nothing is written by a method that does not say so."""

    def __init__(self, home: str, load: Callable[[str], Any], dump: Callable[[Any], str]) -> None:
        self.home = home
        self._load = load
        self.dump = dump

    # -- reading ---------------------------------------------------------------------------------------------

    def path(self, *parts: str) -> str:
        """A path under the home directory."""
        return os.path.join(self.home, *parts)

    def read(self, *parts: str) -> str | None:
        """The text of a file, or None."""
        return _files.read(self.path(*parts))

    def key(self) -> bytes:
        """The key of this box; a throw-away one where none was written yet (then everything is new anyway)."""
        return (self.read(".key") or random.token_hex(32)).encode()

    def secret(self, name: str) -> str | None:
        """A stored secret."""
        return self.read("secrets", name)

    def services(self, file: str = ".last-good.yaml") -> dict[str, Any]:
        """Compose definitions by service after the last successful run (or in ``compose.yaml``)."""
        document = self._load(self.read(file) or "{}") or {}
        return dict(_unescaped(document.get("services") or {}))

    def last_networks(self) -> dict[str, Any]:
        """Networks that the compose file of the last successful run names."""
        document = self._load(self.read(".last-good.yaml") or "{}") or {}
        return dict(document.get("networks") or {})

    def exists(self, name: str) -> bool:
        """Whether a file or directory of the stack exists."""
        return os.path.exists(self.path(name))

    def changed(
        self, service: Service, before: Mapping[str, Any] | None
    ) -> tuple[list[str], list[str]]:
        """Names of files and of secrets that differ between the generation in use and the wanted one."""
        files = self._generation_in_use(service.name, "files", before, service.reload)
        secrets = self._generation_in_use(service.name, "secrets", before, ())
        return _differing(files, service.files, service.uid), _differing(
            secrets, service.secrets, service.uid
        )

    def files_in_use(self, service: Service, before: Mapping[str, Any] | None) -> dict[str, str]:
        """The configuration files of the generation in use."""
        return _texts(self._generation_in_use(service.name, "files", before, service.reload))

    def _generation_in_use(
        self, service: str, kind: str, before: Mapping[str, Any] | None, reload: tuple[str, ...]
    ) -> str | None:
        root = self.path("services", service, kind)
        if reload:
            current = os.path.join(root, "current")
            return os.path.realpath(current) if os.path.islink(current) else None
        for mount in (before or {}).get("volumes") or []:
            if isinstance(mount, Mapping) and str(mount.get("source", "")).startswith(root + "/"):
                return str(mount["source"])
        return None

    def existing_parent(self) -> str:
        """The home directory, or the nearest directory above it that exists."""
        path = os.path.abspath(self.home)
        while not os.path.isdir(path):
            path = os.path.dirname(path)
        return path

    def current(self, service: str) -> str:
        """Name of the generation in use of a reloadable service; empty if there is none."""
        path = self.path("services", service, "files", "current")
        return os.readlink(path) if os.path.islink(path) else ""

    def current_since(self, service: str) -> float | None:
        """When the generation in use of a reloadable service was switched to, in seconds of the epoch."""
        try:
            return os.lstat(self.path("services", service, "files", "current")).st_mtime
        except OSError:
            return None

    # -- writing ---------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Write the directories and the box's key."""
        os.makedirs(self.home, mode=0o755, exist_ok=True)
        for directory in ("secrets", "services"):
            os.makedirs(self.path(directory), mode=0o700, exist_ok=True)
            os.chmod(self.path(directory), 0o700)
        if self.read(".key") is None:
            self.write(".key", random.token_hex(32), 0o400)

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        """Write a file as a whole."""
        _files.replace(self.path(name), text, mode)

    def write_secret(self, name: str, value: str) -> None:
        """Store a secret unless it is there already."""
        if self.secret(name) != value:
            self.write(os.path.join("secrets", name), value, 0o400)

    def compose_text(
        self, services: Mapping[str, Any], networks: Mapping[str, Any], project: str
    ) -> str:
        """The project as a compose file."""
        volumes: dict[str, Any] = {
            name: {} for service in services.values() for name in named_volumes(service)
        }
        ordered = {name: services[name] for name in sorted(services)}
        document: dict[str, Any] = {
            "name": project,
            "services": _escaped(ordered),
            "networks": networks,
        }
        if volumes:
            document["volumes"] = volumes
        note = (
            "# Written by gpubox.llm; the next run overwrites it. `docker compose ps` works here.\n"
        )
        return note + self.dump(document)

    def write_generations(self, service: Service) -> None:
        """Write the service's files and secrets as generations; a generation that was altered is written anew."""
        for kind, tag, texts in (
            ("files", service.files_tag, service.files),
            ("secrets", service.secrets_tag, service.secrets),
        ):
            target = self.path("services", service.name, kind, tag)
            if texts and _differing(target, texts, service.uid):
                write_tree(target, texts, service.uid, service.gid)
        if service.files and service.reload and self.current_since(service.name) is None:
            self.switch(service.name, service.files_tag)

    def switch(self, service: str, tag: str) -> None:
        """Make ``tag`` the generation in use of a reloadable service."""
        self.link(self.path("services", service, "files"), tag)

    @staticmethod
    def link(root: str, tag: str) -> None:
        """Let ``current`` in ``root`` name ``tag``, from one moment to the next."""
        current = os.path.join(root, "current")
        if os.path.islink(current) and os.readlink(current) == tag:
            return
        temporary = os.path.join(root, f".current-{os.getpid()}")
        os.symlink(tag, temporary)
        os.replace(temporary, current)

    def clean(self, keep: Mapping[str, set[str]]) -> None:
        """Remove generations that neither the present nor the previous definition of a service names."""
        root = self.path("services")
        for service in os.listdir(root):
            for kind in ("files", "secrets"):
                directory = os.path.join(root, service, kind)
                in_use = {"current", self.current(service)}
                for name in os.listdir(directory) if os.path.isdir(directory) else []:
                    if name not in in_use | keep.get(service, set()):
                        path = os.path.join(directory, name)
                        shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(
                            path
                        ) else os.unlink(path)
            if service not in keep:
                shutil.rmtree(os.path.join(root, service))

    def remove(self, names: list[str], *, everything: bool) -> None:
        """Remove rendered files, or the whole directory with its secrets."""
        for path in [self.home] if everything else [self.path(name) for name in names]:
            if os.path.isdir(path):
                shutil.rmtree(path)
            elif os.path.exists(path):
                os.unlink(path)

    def lock(self, seconds: int, waiting: Callable[[], None]) -> int:
        """Take the stack's lock; the descriptor is inheritable, so that an orphaned Compose keeps holding it."""
        descriptor = os.open(self.path(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        os.set_inheritable(descriptor, True)
        deadline, told = time.monotonic() + seconds, False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return descriptor
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    raise LockTimeout(
                        f"another run has been working on {self.home} for {seconds} s"
                    ) from None
            if not told:
                waiting()
                told = True
            time.sleep(0.5)


def write_tree(target: str, texts: Mapping[str, str], uid: int, gid: int) -> None:
    """Write ``texts`` as the directory ``target``: 0400 files in 0700 directories of the container's user."""
    parent = os.path.dirname(target)
    os.makedirs(parent, mode=0o755, exist_ok=True)
    temporary = tempfile.mkdtemp(prefix=".new-", dir=parent)
    for path, text in texts.items():
        full = os.path.join(temporary, path)
        os.makedirs(os.path.dirname(full), mode=0o700, exist_ok=True)
        with open(
            os.open(full, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w", encoding="utf-8"
        ) as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
    for directory, _unused, names in os.walk(temporary):
        for path in [directory, *(os.path.join(directory, name) for name in names)]:
            os.chown(path, uid, gid)
    if os.path.isdir(target):  # altered by somebody: its place must be free
        shutil.rmtree(target)
    os.rename(temporary, target)


def _texts(directory: str | None, uid: int | None = None) -> dict[str, str]:
    """Texts by relative path; a file that is not private to ``uid`` counts as different from any text."""
    texts: dict[str, str] = {}
    for root, _unused, names in os.walk(directory or ""):
        for name in names:
            path = os.path.join(root, name)
            status = os.stat(path)
            with open(path, encoding="utf-8", errors="replace") as stream:
                text = stream.read()
            exposed = uid is not None and (status.st_uid != uid or status.st_mode & 0o377)
            texts[os.path.relpath(path, directory)] = "\0exposed" if exposed else text
    return texts


def _differing(directory: str | None, wanted: Mapping[str, str], uid: int) -> list[str]:
    there = _texts(directory, uid)
    return sorted(name for name in {*there, *wanted} if there.get(name) != wanted.get(name))


def _map_strings(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _map_strings(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_map_strings(item, change) for item in value]
    return value


def _escaped(value: Any) -> Any:
    """Compose interpolates ``$`` in every value; definitions mean it literally."""
    return _map_strings(value, lambda text: text.replace("$", "$$"))


def _unescaped(value: Any) -> Any:
    return _map_strings(value, lambda text: text.replace("$$", "$"))
