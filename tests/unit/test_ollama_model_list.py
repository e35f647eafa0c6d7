# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ollama_model: what is wrong with a list, and where models may come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.ollama_world import MINE, World, actions, here


def faulty(**options: Any) -> dict[str, Any]:
    return {"name": "base:1", **options}


FAULTS = [
    (faulty(digest="abc"), "digest is no SHA-256"),
    (faulty(digest="a" * 64, state="latest"), "pinned or the latest, not both"),
    (faulty(system="x"), "Give from or file, too"),
    (faulty(quantize="q4_K_M"), "Give from or file, too"),
    (faulty(file="/a.gguf", **{"from": "other"}), "from and file exclude each other"),
    (faulty(state="latest", **{"from": "other"}), "latest is for models of a registry"),
    (faulty(digest="a" * 64, **{"from": "other"}), "a digest of its own"),
    (faulty(state="absent", loaded=True), "what is absent cannot be loaded"),
    (faulty(keep_alive="ten minutes"), "keep_alive is no duration"),
    (faulty(parameters={"temprature": 1}, **{"from": "other"}), "Did you mean temperature?"),
    (faulty(parameters={"top_k": "many"}, **{"from": "other"}), "whole number"),
    (faulty(**{"from": "base:1"}), "created from itself"),
    (faulty(**{"from": "a b"}), "'a b' is no model name"),
    ({"name": "gpt-oss:cloud", "loaded": True}, "a cloud model is not on this server"),
]


@pytest.mark.parametrize(("model", "reason"), FAULTS)
def test_a_fault_in_the_list_is_told_before_anybody_is_asked(
    model: dict[str, Any], reason: str
) -> None:
    world = World("base:1")
    said = world.says(model)
    assert reason in said
    assert model["name"] in said
    assert world.asked == []


def test_all_faults_of_all_models_are_told_at_once() -> None:
    said = World().says("a b", "x:1", "X:1", faulty(digest="abc"), {"name": "z", "system": "x"})
    assert len(said.splitlines()) == 4
    assert "X:1: the list has this model already, as x:1" in said


def test_a_base_that_shall_be_absent_is_refused() -> None:
    said = World().says(MINE, {"name": "base:1", "state": "absent"})
    assert "mine:latest: it is created from base:1, which is absent" in said


def test_all_that_the_registry_lacks_is_told_at_once() -> None:
    world = World("base:1")
    said = world.says("base:1", "no:1", "none")
    assert said.splitlines() == [
        "no:1: registry.ollama.ai has no such model or tag. Check the name.",
        "none:latest: registry.ollama.ai has no such model or tag. Check the name.",
    ]
    assert here(world) == []


def test_a_file_that_is_no_model_is_told_before_anything_is_changed(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_text("<html>")
    world = World("old")
    world.run("old")
    said = world.says({"name": "own", "file": str(file)}, prune=True)
    assert said.startswith(f"own:latest: {file} is no GGUF file")
    assert here(world) == ["old:latest"]


# Where it comes from


def test_a_mirror_stands_for_the_default_registry() -> None:
    world = World()
    mirror = world.mirror("models.example.com:8443", "base:1")
    outcome = world.run("base:1", registry_mirror="https://models.example.com:8443")
    assert world.server.names == {"base:1": mirror.digest("base:1")}
    assert outcome.changed
    assert world.registry.asked == []
    assert not world.run("base:1", registry_mirror="https://models.example.com:8443").changed


def test_what_a_killed_run_left_of_the_mirror_is_removed() -> None:
    world = World()
    world.mirror("models.example.com", "base:1")
    world.run("base:1", registry_mirror="https://models.example.com")
    world.run("models.example.com/library/base:1", registries=["models.example.com"])
    outcome = world.run("base:1", registry_mirror="https://models.example.com")
    assert actions(outcome)["models.example.com/library/base:1"] == "delete"
    assert here(world) == ["base:1"]


def test_only_registries_of_the_list_are_asked() -> None:
    world = World("base:1")
    said = world.says("evil.example.com/library/base:1")
    assert "evil.example.com is not among the allowed ones (hf.co, registry.ollama.ai)" in said
    assert world.asked == []


def test_a_model_that_is_removed_may_be_of_any_registry() -> None:
    assert not World().run({"name": "evil.example.com/a/b:1", "state": "absent"}).changed


def test_a_loopback_registry_is_asked_by_http_and_no_other() -> None:
    world = World()
    world.mirror("127.0.0.1:5000", "base:1", plain=True)
    world.mirror("models.example.com", "base:1")
    world.run(
        "127.0.0.1:5000/library/base:1",
        "models.example.com/library/base:1",
        registries=["127.0.0.1:5000", "models.example.com"],
        insecure=True,
    )
    bodies = [asked.json for asked in world.server.asked if asked.path == "/api/pull"]
    assert {body["model"]: body["insecure"] for body in bodies} == {
        "127.0.0.1:5000/library/base:1": True,
        "models.example.com/library/base:1": False,
    }


MIRRORS = {
    "http://models.example.com": "is not encrypted",
    "models.example.com": "is no URL of a registry",
    "https://models.example.com/v2": "is no URL of a registry",
    "https://me:secret@models.example.com": "holds a user or a password",
}


@pytest.mark.parametrize(("mirror", "reason"), MIRRORS.items())
def test_a_mirror_that_cannot_be_used_is_refused(mirror: str, reason: str) -> None:
    said = World().says("base:1", registry_mirror=mirror)
    assert reason in said
    assert "me:secret" not in said


def test_registries_are_told_the_version_that_asks() -> None:
    world = World("base:1")
    world.run("base:1")
    assert world.registry.asked[0].headers["user-agent"].startswith("ollama/0.35.0 ")


def test_registries_are_asked_by_the_proxy_of_the_clone_except_where_it_has_none() -> None:
    world = World("base:1")
    world.mirror("models.example.com", "base:1")
    proxies = {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "localhost, .example.com"}
    models = ("base:1", "models.example.com/library/base:1")
    registries = ["registry.ollama.ai", "models.example.com"]
    world.run(*models, environment=proxies, registries=registries, check=True)
    assert world.ways["registry.ollama.ai"] == {"https": "http://proxy:3128"}
    assert world.ways["models.example.com"] == {}
    assert world.ways["ollama:11434"] == {}


def test_faults_of_names_and_of_registries_are_told_together() -> None:
    said = World().says(
        "a b", "evil.example.com/a/b", {"name": "mine", "from": "worse.example.com/a/b"}
    )
    assert [line.partition(": ")[0] for line in said.splitlines()] == [
        "'a b' is no model name",
        "evil.example.com/a/b:latest",
        "worse.example.com/a/b:latest",
    ]


def test_a_base_may_not_come_from_just_anywhere() -> None:
    assert "worse.example.com is not among" in World().says(
        {"name": "mine", "from": "worse.example.com/a/b"}
    )


def test_at_least_one_model_is_pulled_at_once() -> None:
    assert "concurrency is 0" in World().says("base:1", concurrency=0)
