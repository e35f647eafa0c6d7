# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to fit before the first byte is fetched. Private to this collection."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping

from ansible_collections.gpubox.llm.plugins.module_utils._ollama.names import Name
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.pull import amount
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.registry import Manifest

__all__ = ["disk_fault", "gpu_faults", "to_fetch"]


def to_fetch(manifests: Iterable[Manifest], models_dir: str) -> int:
    """Bytes that are not on the disk yet; what several models share counts once."""
    layers = {layer.digest: layer.size for manifest in manifests for layer in manifest.layers}
    return sum(max(size - _there(models_dir, digest), 0) for digest, size in layers.items())


def _there(models_dir: str, digest: str) -> int:
    """What is there of a blob; the file of one that was cut has its full length, but holes in it."""
    path = os.path.join(models_dir, "blobs", digest.replace(":", "-"))
    for candidate in (path, f"{path}-partial"):
        try:
            found = os.stat(candidate)
        except OSError:
            continue
        return min(found.st_size, found.st_blocks * 512)
    return 0


def disk_fault(needed: int, models_dir: str, *, keep: int, freed: int = 0) -> str:
    """Why ``needed`` bytes do not fit on the models' disk, of which ``freed`` are freed first; empty if they do."""
    place = os.path.abspath(models_dir)
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    free = shutil.disk_usage(place).free + freed
    if not needed or free - needed >= keep:
        return ""
    return (
        f"no space for the models: {amount(needed)} are to be fetched, but {models_dir} has {amount(free)} free, "
        f"of which {amount(keep)} stay free (min_free_bytes). Free some space, or want fewer models."
    )


def gpu_faults(sizes: Mapping[Name, int], memory: int) -> list[str]:
    """Which models do not fit into the GPU."""
    return [
        f"{name}: it has {amount(size)}, but the GPU has {amount(memory)}, so a part of it would run on the CPU, "
        "slowly. Choose a smaller one, or one that is quantized more."
        for name, size in sizes.items()
        if size > memory
    ]
