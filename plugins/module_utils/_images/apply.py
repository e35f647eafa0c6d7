# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Look, decide, and make the images of a site present. Private to this collection."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Callable

from ansible_collections.gpubox.llm.plugins.module_utils._images.build import (
    PREFIX,
    Builder,
    Settings,
    Talker,
    ensure_tools,
)
from ansible_collections.gpubox.llm.plugins.module_utils._images.decide import (
    Found,
    ImageError,
    Recipe,
    Task,
    plan,
)
from ansible_collections.gpubox.llm.plugins.module_utils._images.engine import (
    Images,
    registry_answers,
)
from ansible_collections.gpubox.llm.plugins.module_utils._images.words import short
from ansible_collections.gpubox.llm.plugins.module_utils._lock import acquire

__all__ = ["LOCK", "Request", "Run"]

LOCK = "/run/gpubox-images.lock"
AT_ONCE = 2


@dataclass(frozen=True)
class Request:
    """What is wanted of one box."""

    references: Sequence[str]
    recipes: Mapping[str, Recipe]
    mode: str  # auto or local
    archive_dir: str
    settings: Settings
    lock_seconds: int


class Run:
    """One call of the module."""

    def __init__(self, request: Request, say: Callable[[str], None]) -> None:
        self._request = request
        self._say = say
        self._images = Images()
        self._tools = threading.Lock()

    @property
    def available(self) -> bool:
        """Whether an engine answers."""
        return self._images.available

    # -- look and decide -------------------------------------------------------------------------------------

    def plan(self) -> list[Task]:
        """One task per reference; fails if one of them cannot be had at all."""
        references = list(dict.fromkeys(self._request.references))
        found = {reference: self._look(reference) for reference in references}
        if self._request.mode == "auto":
            absent = [reference for reference in references if not found[reference].image_id]
            with ThreadPoolExecutor(max_workers=8) as pool:
                for reference, there in zip(absent, pool.map(self._in_registry, absent)):
                    found[reference] = replace(found[reference], registry=there)
        tasks = [
            plan(
                reference,
                self._request.recipes.get(reference),
                found[reference],
                self._request.mode,
                bool(self._request.archive_dir),
            )
            for reference in references
        ]
        faults = [self._fault(task) for task in tasks if not task.ways and not task.found.image_id]
        if faults:
            raise ImageError("\n".join(faults))
        return tasks

    def _look(self, reference: str) -> Found:
        recipe = self._request.recipes.get(reference)
        archived = recipe is not None and os.path.exists(self._archive(reference, recipe))
        return replace(self._images.find(reference), archived=archived)

    def _in_registry(self, reference: str) -> bool:
        if self.available:
            return self._images.in_registry(reference)
        return registry_answers(reference)

    def _archive(self, reference: str, recipe: Recipe) -> str:
        name = f"{_slug(reference)}-{recipe.hash[:16]}.tar.gz"
        return os.path.join(self._request.archive_dir, name) if self._request.archive_dir else ""

    def _fault(self, task: Task) -> str:
        if self._request.mode == "auto":
            where = "its registry does not give it"
        else:
            where = "llm_images: local asks no registry"
        return (
            f"{task.reference}: not on this box, {where}, and no recipe builds it. Use a version that has one (the "
            "role's own pin has), load the image on the box (docker load), or make its registry reachable"
        )

    # -- do --------------------------------------------------------------------------------------------------

    def apply(self) -> dict[str, dict[str, Any]]:
        """Make all images present; return what happened to each. Looks again once no other run is at work."""
        with _lock(self._request.lock_seconds, self._say):
            tasks = self.plan()
            self._check_places(tasks)
            self._check_space(tasks)
            _clean(self._request.settings.work_dir)
            with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
                results = list(pool.map(self._do, tasks))
            self._images.sweep()
        faults = [f"{result['name']}: {result['error']}" for result in results if result["error"]]
        if faults:
            raise ImageError("\n".join(faults))
        return {
            result["name"]: {key: result[key] for key in ("action", "id")} for result in results
        }

    def _do(self, task: Task) -> dict[str, Any]:
        result = {
            "name": task.reference,
            "action": "present",
            "id": task.found.image_id,
            "error": "",
        }
        started = time.monotonic()

        try:
            with Talker(self._say, short(task.reference)) as say:
                if task.ways:
                    result["action"] = self._make(task, say)
                    result["id"] = self._images.find(task.reference).image_id
                    say(f"{result['action']} in {time.monotonic() - started:.0f} s")
                if task.archive and result["action"] != "pulled":
                    self._save(task, say)
        except Exception as error:  # the other images go on; all failures are told together
            result["error"] = str(error) or repr(error)
        return result

    def _make(self, task: Task, say: Callable[[str], None]) -> str:
        ways: dict[str, Callable[[Task, Callable[[str], None]], None]] = {
            "pull": lambda task, say: Images().pull(task.reference, say),
            "load": self._load,
            "build": self._build,
        }
        errors = []
        for way in task.ways:
            try:
                ways[way](task, say)
                return task.outcome_of(way)
            except Exception as error:  # the next way may work
                errors.append(f"{way}: {error}")
                say(
                    f"{way} did not work"
                    + (", trying the next way" if way != task.ways[-1] else "")
                )
        raise ImageError("\n".join(errors))

    def _load(self, task: Task, say: Callable[[str], None]) -> None:
        path = self._archive(task.reference, task.the_recipe)
        say(f"loading {path}")
        Images().load(path, task.reference, task.the_recipe.hash)

    def _build(self, task: Task, say: Callable[[str], None]) -> None:
        with self._tools, Talker(self._say) as tell:
            ensure_tools(tell)
        Builder(self._request.settings, Images(), say).build(task.reference, task.the_recipe)

    def _save(self, task: Task, say: Callable[[str], None]) -> None:
        """Archive the image; archives of its earlier recipes go."""
        path = self._archive(task.reference, task.the_recipe)
        say(f"saving to {path}")
        os.makedirs(self._request.archive_dir, mode=0o755, exist_ok=True)
        Images().save(task.reference, path)
        earlier = re.compile(re.escape(_slug(task.reference)) + r"-[0-9a-f]{16}\.tar\.gz")
        for name in os.listdir(self._request.archive_dir):
            if earlier.fullmatch(name) and name != os.path.basename(path):
                os.unlink(os.path.join(self._request.archive_dir, name))

    def _check_places(self, tasks: Sequence[Task]) -> None:
        settings = self._request.settings
        if any("build" in task.ways for task in tasks):
            if not os.path.isdir(settings.work_dir):
                raise ImageError(
                    f"local_images_work_dir: {settings.work_dir} is no directory on this box"
                )
            if settings.ca_file and not os.path.isfile(settings.ca_file):
                raise ImageError(f"local_images_ca_file: {settings.ca_file} is no file on this box")

    def _check_space(self, tasks: Sequence[Task]) -> None:
        """A build needs the image's size twice: where it is built, and where the engine keeps it."""
        needed = sum(
            task.recipe.megabytes for task in tasks if task.recipe and "build" in task.ways[:1]
        )
        if not needed:
            return
        work_dir, data_dir = self._request.settings.work_dir, self._images.data_dir
        same = os.stat(work_dir).st_dev == os.stat(data_dir).st_dev
        for directory in [work_dir] if same else [work_dir, data_dir]:
            wanted = needed * (2 if same else 1)
            free = shutil.disk_usage(directory).free / 1e6
            if free < wanted:
                raise ImageError(
                    f"no space to build the images: {directory} has {free:.0f} MB free, {wanted} MB are needed. "
                    "Free some space, or choose another directory to build in (local_images_work_dir)"
                )


def _slug(reference: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "_", reference)


@contextlib.contextmanager
def _lock(seconds: int, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the box's image lock. Builds inherit it: one that outlives a killed run is waited for too."""
    try:
        descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except PermissionError as error:
        raise ImageError(f"{error}; run the play as root (become: true)") from error
    os.set_inheritable(descriptor, True)

    def waiting(waited: float) -> None:
        say(f"waiting for another run that is building images ({waited:.0f} s)")

    try:
        if not acquire(descriptor, seconds, waiting):
            raise ImageError(
                f"another run has been building images on this box for more than {seconds} s; "
                "wait for it to end, then run again"
            )
        yield
    finally:
        os.close(descriptor)


def _clean(work_dir: str) -> None:
    """Remove what a killed run left; never anything that is mounted."""
    with open("/proc/self/mounts", encoding="utf-8") as stream:
        mounts = [line.split()[1] for line in stream]
    for name in os.listdir(work_dir) if os.path.isdir(work_dir) else []:
        path = os.path.join(work_dir, name)
        if name.startswith(PREFIX) and not any(mount.startswith(path) for mount in mounts):
            shutil.rmtree(path, ignore_errors=True)
