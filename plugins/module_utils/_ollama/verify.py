# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Blobs and manifests that are not what their names say. Private to this collection.

Ollama compares a file with its digest once, after it was downloaded. One that is damaged later, by a disk or a loss of
power, is trusted for ever, also by another pull; a manifest that was cut makes its model impossible to use and to
remove. So what is damaged has to be found here, and removed, before a pull brings it again.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Callable

from ansible_collections.gpubox.llm.plugins.module_utils._ollama.gguf import sha256
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.names import Name, OllamaError

__all__ = ["Fault", "faults", "repair"]

AT_ONCE = 2
LONGEST_MANIFEST = 1 << 20
TELL_FROM_BYTES = 1 << 30


@dataclass(frozen=True)
class Fault:
    """A file that is not what it should be, and the models that need it."""

    path: str
    reason: str  # what is wrong with it, as in "the blob ... is not there"
    models: tuple[Name, ...]

    def __str__(self) -> str:
        names = ", ".join(str(name) for name in self.models)
        return f"{names}: {os.path.basename(self.path)} {self.reason}"


@dataclass(frozen=True)
class _Blob:
    digest: str  # 64 digits
    size: int


def faults(
    models_dir: str, names: Iterable[Name], say: Callable[[str], None] = lambda line: None
) -> list[Fault]:
    """What is wrong with the files of these models. A model that has no manifest is none that is there: no fault."""
    if not os.path.isdir(models_dir):
        raise OllamaError(
            f"models_dir: {models_dir} is no directory on this box. Give the one in which Ollama keeps its models."
        )
    found: list[Fault] = []
    needed: dict[_Blob, list[Name]] = {}
    for name, path in _manifests(models_dir, names).items():
        try:
            for blob in _blobs(path):
                needed.setdefault(blob, []).append(name)
        except ValueError as error:
            found.append(Fault(path, str(error), (name,)))
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        reasons = pool.map(lambda blob: _wrong(_path(models_dir, blob), blob, say), needed)
        for (blob, users), reason in zip(needed.items(), reasons):
            if reason:
                found.append(Fault(_path(models_dir, blob), reason, tuple(users)))
    return found


def repair(found: Iterable[Fault]) -> tuple[Name, ...]:
    """Remove what is damaged; returns the models that have to be pulled, or created, again."""
    broken: dict[Name, None] = {}
    for fault in found:
        if os.path.lexists(fault.path):
            os.unlink(fault.path)
        broken.update(dict.fromkeys(fault.models))
    return tuple(broken)


def _manifests(models_dir: str, names: Iterable[Name]) -> dict[Name, str]:
    """The manifests of these models by name. Names are compared as Ollama does, whatever case the files have."""
    root = os.path.join(models_dir, "manifests")
    wanted = {name: name for name in names}
    there = {}
    for directory, _unused, files in os.walk(root):
        parts = os.path.relpath(directory, root).split(os.sep)
        if len(parts) == 3:
            there.update(
                {
                    Name(parts[0], parts[1], parts[2], file): os.path.join(directory, file)
                    for file in files
                }
            )
    return {wanted[name]: path for name, path in there.items() if name in wanted}


def _blobs(path: str) -> list[_Blob]:
    """The blobs of a manifest; ValueError says what is wrong with one that cannot be used."""
    with open(path, "rb") as file:
        text = file.read(LONGEST_MANIFEST)
    if not text.strip(b"\0 \n"):
        raise ValueError("is an empty manifest")
    try:
        data = json.loads(text)
        config = [data["config"]] if (data.get("config") or {}).get("digest") else []
        return [_blob(part) for part in [*data["layers"], *config]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError("is a manifest that ends early or makes no sense") from error


def _blob(part: Mapping[str, Any]) -> _Blob:
    match = re.fullmatch(r"sha256:([0-9a-f]{64})", part["digest"])
    if not match:
        raise ValueError(part["digest"])
    return _Blob(match[1], int(part["size"]))


def _path(models_dir: str, blob: _Blob) -> str:
    return os.path.join(models_dir, "blobs", f"sha256-{blob.digest}")


def _wrong(path: str, blob: _Blob, say: Callable[[str], None]) -> str:
    """What is wrong with a blob; empty if it is what its name says."""
    try:
        size = os.stat(path).st_size
        if size != blob.size:
            return f"has {size} bytes instead of {blob.size}"
        if size >= TELL_FROM_BYTES:
            say(f"reading {os.path.basename(path)[:19]} ({size / 1e9:.1f} GB)")
        return "" if sha256(path) == blob.digest else "does not have the content of its name"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
