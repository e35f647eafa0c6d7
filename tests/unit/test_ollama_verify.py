# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damage in a directory of models: what is found, what is removed, and what is left alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.names import Name, OllamaError
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.verify import faults, repair

ONE, TWO = Name.parse("one"), Name.parse("models.example.com/Team/two:v1")


class Models:
    """A directory as Ollama lays it out."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "blobs").mkdir()

    def blob(self, content: bytes) -> Path:
        path = self.root / "blobs" / f"sha256-{hashlib.sha256(content).hexdigest()}"
        path.write_bytes(content)
        return path

    def manifest(self, name: Name) -> Path:
        path = self.root / "manifests" / name.host / name.namespace / name.model / name.tag
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def add(self, name: Name, *contents: bytes) -> None:
        layers = []
        for content in contents:
            digest = self.blob(content).name.replace("-", ":")
            layers.append({"mediaType": "x", "digest": digest, "size": len(content)})
        self.manifest(name).write_text(json.dumps({"config": layers[0], "layers": layers[1:]}))

    def files(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()}


@pytest.fixture
def models(tmp_path: Path) -> Models:
    there = Models(tmp_path)
    there.add(ONE, b"config one", b"shared", b"weights one")
    there.add(TWO, b"config two", b"shared", b"weights two")
    (tmp_path / "blobs" / "sha256-0000-partial").write_bytes(b"half")
    return there


def test_healthy_models_have_no_fault(models: Models) -> None:
    assert faults(str(models.root), [ONE, TWO]) == []


def test_a_model_that_is_not_there_has_none(models: Models) -> None:
    assert faults(str(models.root), [Name.parse("three")]) == []


def test_names_are_found_whatever_their_case(models: Models) -> None:
    models.blob(b"weights two").unlink()
    (found,) = faults(str(models.root), [Name.parse("MODELS.example.com/team/TWO:V1")])
    assert found.reason == "is missing"


def flip(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (flip, "does not have the content of its name"),
        (lambda path: path.write_bytes(b""), "has 0 bytes instead of 11"),
        (lambda path: path.unlink(), "is missing"),
    ],
)
def test_a_damaged_blob_is_found_and_removed_and_nothing_else(
    models: Models, damage: Callable[[Path], Any], said: str
) -> None:
    bad = models.blob(b"weights one")
    before = models.files()
    damage(bad)
    found = faults(str(models.root), [ONE, TWO])
    assert [(fault.path, fault.models) for fault in found] == [(str(bad), (ONE,))]
    assert said in str(found[0])
    assert repair(found) == (ONE,)
    assert models.files() == before - {f"blobs/{bad.name}"}


def test_a_damaged_blob_concerns_all_models_that_share_it(models: Models) -> None:
    flip(models.blob(b"shared"))
    found = faults(str(models.root), [ONE, TWO])
    assert len(found) == 1
    assert set(repair(found)) == {ONE, TWO}


def test_damage_of_models_that_are_not_asked_for_is_left_alone(models: Models) -> None:
    flip(models.blob(b"weights two"))
    assert faults(str(models.root), [ONE]) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty manifest"),
        (bytes(300), "empty manifest"),
        (b'{"config":{"digest":"sha256:', "ends early or makes no sense"),
        (b'{"layers": 3, "config": null}', "makes no sense"),
        (b'{"layers": [{"digest": "sha256:../../../etc/passwd", "size": 1}]}', "makes no sense"),
        (b"[]", "makes no sense"),
    ],
)
def test_a_broken_manifest_is_found_and_removed_and_no_blob(
    models: Models, content: bytes, said: str
) -> None:
    bad = models.manifest(ONE)
    before = models.files()
    bad.write_bytes(content)
    (found,) = faults(str(models.root), [ONE, TWO])
    assert said in str(found)
    assert str(found).startswith("one:latest: ")
    assert repair([found]) == (ONE,)
    assert models.files() == before - {str(bad.relative_to(models.root))}


def test_a_repair_can_be_done_twice(models: Models) -> None:
    flip(models.blob(b"weights one"))
    found = faults(str(models.root), [ONE])
    assert repair(found) == repair(found) == (ONE,)


def test_a_manifest_without_a_config_is_whole(models: Models) -> None:
    layer = {"digest": models.blob(b"shared").name.replace("-", ":"), "size": 6}
    models.manifest(ONE).write_text(json.dumps({"layers": [layer], "config": {"digest": ""}}))
    assert faults(str(models.root), [ONE]) == []


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OllamaError, match="no directory on this box"):
        faults(str(tmp_path / "none"), [ONE])
