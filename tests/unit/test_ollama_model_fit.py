# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ollama_model: what has to fit before the first byte is fetched, and what is damaged."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpubox.llm.plugins.module_utils._ollama import checks

from tests.unit.fakes.gguf import gguf
from tests.unit.ollama_world import OTHER, SMALL, World, actions, here

Usage = namedtuple("Usage", "free")


def free(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda path: Usage(size))


def test_models_that_do_not_fit_on_the_disk_are_not_begun(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    world = World("base:1", "other")
    options: dict[str, Any] = {"models_dir": str(tmp_path / "models"), "min_free_bytes": 1000}
    needed = sum(map(len, world.registry.blobs.values()))  # both have the same ones
    free(monkeypatch, needed + 999)
    said = world.says("base:1", "other", **options)
    assert "4.3 kB are to be fetched" in said
    assert "5.3 kB free" in said
    assert world.server.count("POST") == 0
    free(monkeypatch, needed + 1000)
    assert world.run("base:1", "other", **options).changed


def test_what_is_on_the_disk_already_needs_no_space(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    world = World("base:1")
    world.run("base:1")
    world.server.store.dump(tmp_path)
    world.registry.push("more", SMALL, ("system", b"x" * 10))
    free(monkeypatch, 10)
    options: dict[str, Any] = {"models_dir": str(tmp_path), "min_free_bytes": 0}
    assert world.run("more", **options).changed


def test_a_partial_file_counts_only_what_is_in_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    world = World()
    world.registry.push("big", ("model", gguf(size=1 << 20)))
    blob = next(digest for digest, data in world.registry.blobs.items() if len(data) == 1 << 20)
    partial = tmp_path / "blobs" / f"{blob.replace(':', '-')}-partial"
    partial.parent.mkdir()
    with partial.open("wb") as file:
        file.write(b"\1" * 8192)
        file.truncate(1 << 20)
    free(monkeypatch, (1 << 20) - 8192)
    options: dict[str, Any] = {"models_dir": str(tmp_path), "min_free_bytes": 0}
    assert "no space" in world.says("big", **options)
    free(monkeypatch, (1 << 20) - 8192 + 1000)
    assert world.run("big", **options).changed


def test_what_is_removed_makes_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    world = World("old")
    world.registry.push("new", OTHER)
    world.run("old")
    usage = iter([Usage(5000), Usage(9000)])
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda path: next(usage))
    options: dict[str, Any] = {"models_dir": str(tmp_path), "min_free_bytes": 0}
    assert world.run({"name": "old", "state": "absent"}, "new", **options).changed
    assert here(world) == ["new:latest"]


def test_a_model_too_big_for_the_gpu_is_told_or_refused() -> None:
    world = World("base:1")
    assert "base:1: it has 4.3 kB, but the GPU has 4.0 kB" in world.says(
        "base:1", gpu_memory_bytes=4000, gpu_fit="refuse"
    )
    assert here(world) == []
    world.run("base:1", gpu_memory_bytes=4000)
    assert len(world.warnings) == 1
    world.run({"name": "base:1", "state": "absent"})
    world.run("base:1", gpu_memory_bytes=5000)
    world.run({"name": "base:1", "state": "absent"})
    world.run("base:1", gpu_memory_bytes=4000, gpu_fit="ignore")
    assert len(world.warnings) == 1


# Damage


def test_a_damaged_model_is_found_removed_and_pulled_again(tmp_path: Path) -> None:
    world = World("base:1", "other")
    world.run("base:1")
    world.server.store.dump(tmp_path)
    blob = next(digest for digest, data in world.registry.blobs.items() if len(data) == 4096)
    file = tmp_path / "blobs" / blob.replace(":", "-")
    file.write_bytes(b"x" * 4096)
    assert not world.run("base:1", models_dir=str(tmp_path)).changed
    predicted = world.run("base:1", models_dir=str(tmp_path), verify=True, check=True)
    assert file.exists()
    outcome = world.run("base:1", models_dir=str(tmp_path), verify=True)
    assert actions(outcome) == actions(predicted) == {"base:1": "pull"}
    assert outcome.before == {"base:1": "(damaged)"}
    assert not file.exists(), "the server would have trusted it"
    assert "does not have the content of its name" in world.warnings[0]


def test_verify_needs_to_know_where_the_models_are() -> None:
    assert "Set models_dir" in World().says("base:1", verify=True)
