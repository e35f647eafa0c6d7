# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ollama_model: what it does about a list of models, and what that costs."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpubox.llm.plugins.module_utils._ollama import checks, task
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.names import Name

from tests.unit.fakes.gguf import gguf
from tests.unit.ollama_world import World, actions

SMALL, OTHER = ("model", gguf(size=4096)), ("model", gguf(size=8192))
MINE = {"name": "mine", "from": "base:1", "system": "Be short."}


def here(world: World) -> list[str]:
    return sorted(world.server.names)


# What it does


def test_a_missing_model_is_pulled_and_one_that_is_there_is_left_alone() -> None:
    world = World("base:1", "other")
    world.run("base:1")
    outcome = world.run("base:1", "other")
    assert actions(outcome) == {"base:1": "none", "other:latest": "pull"}
    assert outcome.changed
    assert here(world) == ["base:1", "other:latest"]
    assert outcome.result["models"][1]["digest"] == f"sha256:{world.registry.digest('other')}"


def test_with_nothing_to_do_there_is_one_request() -> None:
    world = World("base:1", "other", "third")
    pinned = {"name": "third", "digest": world.registry.digest("third")}
    models = ("base:1", "other", pinned, {"name": "gone", "state": "absent"}, "gpt-oss:120b-cloud")
    world.run(*models)
    outcome = world.run(*models, prune=True)
    assert not outcome.changed
    assert world.asked == ["GET /api/tags"]
    assert world.registry.asked == []


def test_created_and_loaded_models_cost_what_has_to_be_compared() -> None:
    world = World("base:1")
    models = ("base:1", {**MINE, "loaded": True})
    world.run(*models)
    assert not world.run(*models).changed
    assert world.asked == ["GET /api/tags", "GET /api/ps", "POST /api/show", "POST /api/show"]


def test_check_mode_says_what_the_real_run_does_and_does_nothing() -> None:
    world = World("base:1", "other", "old")
    world.run("old")
    models = ({"name": "base:1", "loaded": True}, "other", {"name": "old", "state": "absent"})
    predicted = world.run(*models, check=True)
    assert not [asked for asked in world.asked if not asked.startswith("GET")]
    assert here(world) == ["old:latest"]
    assert predicted == world.run(*models)


def test_the_diff_is_names_and_digests() -> None:
    world = World("base:1", "old")
    world.run("old")
    outcome = world.run("base:1", prune=True)
    digests = {name: f"sha256:{world.registry.digest(name)}" for name in ("base:1", "old")}
    assert outcome.before == {"old:latest": digests["old"]}
    assert outcome.after == {"base:1": digests["base:1"]}


def test_latest_asks_the_registry_once_and_follows_it() -> None:
    world = World("base:1")
    latest = {"name": "base:1", "state": "latest"}
    world.run(latest)
    assert not world.run(latest).changed
    assert world.registry.counts() == {"GET /v2/library/base/manifests/1": 1}
    new = world.registry.push("base:1", OTHER)
    outcome = world.run(latest)
    assert outcome.changed
    assert world.server.names == {"base:1": new}


def test_present_does_not_follow_the_registry() -> None:
    world = World("base:1")
    world.run("base:1")
    world.registry.push("base:1", OTHER)
    assert not world.run("base:1").changed


def test_a_pull_that_brings_the_same_digest_is_no_change() -> None:
    world = World("base:1")
    world.run("base:1")
    wanted = [{"name": "base:1", "state": "latest"}]
    world.registry.push("base:1", OTHER)

    def another_run_is_faster(asked: Any) -> None:
        if asked.path == "/api/version":
            world.server.meanwhile = lambda asked: None
            world.run(*wanted)

    world.server.meanwhile = another_run_is_faster
    outcome = world.run(*wanted)
    assert world.server.names["base:1"] == world.registry.digest("base:1")
    assert outcome.result["models"][0]["digest"] == f"sha256:{world.registry.digest('base:1')}"


def test_a_pin_that_moved_is_an_error_with_both_digests_before_anything_is_pulled() -> None:
    world = World("base:1")
    old, new = world.registry.digest("base:1"), world.registry.push("base:1", OTHER)
    said = world.says({"name": "base:1", "digest": f"sha256:{old}"})
    assert f"pinned to sha256:{old}, but registry.ollama.ai has sha256:{new}" in said
    assert world.server.count("POST") == 0


def test_a_pin_brings_back_what_the_server_has_lost() -> None:
    world = World("base:1")
    old = world.registry.digest("base:1")
    world.registry.push("base:1", OTHER)
    world.run("base:1")
    world.registry.push("base:1")
    assert world.registry.digest("base:1") == old
    assert world.run({"name": "base:1", "digest": old.upper()}).changed
    assert world.server.names == {"base:1": old}


def test_a_tag_that_moves_during_the_download_does_not_stay() -> None:
    world = World("base:1")
    pin = world.registry.digest("base:1")

    def move(asked: Any) -> None:
        if asked.path == "/api/pull":
            world.registry.push("base:1", OTHER)

    world.server.meanwhile = move
    said = world.says({"name": "base:1", "digest": pin})
    assert pin in said
    assert world.registry.digest("base:1") in said
    assert "removed again" in said
    assert here(world) == []


def test_absent_unloads_and_removes() -> None:
    world = World("base:1", "other")
    world.run({"name": "base:1", "loaded": True}, "other")
    outcome = world.run({"name": "base:1", "state": "absent"})
    assert actions(outcome) == {"base:1": "delete"}
    assert world.asked[:4] == [
        "GET /api/tags",
        "GET /api/ps",
        "POST /api/generate",
        "DELETE /api/delete",
    ]
    assert here(world) == ["other:latest"]
    assert not world.server.memory.running()


def test_a_model_that_somebody_else_removes_meanwhile_is_no_error() -> None:
    world = World("base:1")
    world.run("base:1")

    def first(asked: Any) -> None:
        if asked.method == "DELETE":
            world.server.store.manifests.clear()

    world.server.meanwhile = first
    assert world.run({"name": "base:1", "state": "absent"}).changed
    assert here(world) == []


def test_prune_removes_what_the_list_does_not_name_but_not_what_it_needs() -> None:
    world = World("base:1", "other", "gpt-oss:cloud")
    world.run(MINE, "other")
    world.registry.push("gpt-oss:cloud")
    outcome = world.run(MINE, "GPT-oss:cloud", prune=True)
    assert actions(outcome) == {"base:1": "none", "mine:latest": "none", "other:latest": "delete"}
    assert here(world) == ["base:1", "mine:latest"]


def test_without_prune_foreign_models_stay() -> None:
    world = World("base:1", "other")
    world.run("other")
    world.run("base:1")
    assert here(world) == ["base:1", "other:latest"]


def test_a_created_model_is_created_after_its_base_and_only_if_it_differs() -> None:
    world = World("base:1")
    outcome = world.run(MINE, "base:1")
    assert actions(outcome) == {"base:1": "pull", "mine:latest": "create"}
    assert not world.run(MINE).changed
    outcome = world.run({**MINE, "system": "Be long."})
    assert actions(outcome) == {"base:1": "none", "mine:latest": "create"}
    assert outcome.result["models"][1]["digest"] == f"sha256:{world.server.names['mine:latest']}"


def test_a_created_model_follows_its_base_in_the_same_run() -> None:
    world = World("base:1")
    models = (
        {"name": "base:1", "state": "latest"},
        MINE,
        {"name": "two", "from": "mine", "system": "x"},
    )
    world.run(*models)
    world.registry.push("base:1", OTHER)
    assert actions(world.run(*models)) == {
        "base:1": "pull",
        "mine:latest": "create",
        "two:latest": "create",
    }
    assert not world.run(*models).changed


def test_a_model_is_created_from_a_file_which_is_sent_once(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(gguf(size=4096))
    world = World()
    own = {"name": "own", "file": str(file), "parameters": {"temperature": 0.2, "stop": ["</s>"]}}
    world.run(own)
    assert [a for a in world.asked if "blobs" in a] == [
        f"{verb} /api/blobs/sha256:{checks_sha(file)}" for verb in ("HEAD", "POST")
    ]
    assert not world.run(own).changed
    world.run({**own, "system": "x"})
    assert [a.split()[0] for a in world.asked if "blobs" in a] == ["HEAD"]


def test_a_model_is_made_anew_from_a_file_that_changed(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(gguf(size=4096))
    world, own = World(), {"name": "own", "file": str(file)}
    world.run(own)
    file.write_bytes(gguf(size=8192))
    assert actions(world.run(own)) == {"own:latest": "create"}


def test_a_file_is_no_longer_needed_once_the_model_is_there(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(gguf(size=4096))
    world, own = World(), {"name": "own", "file": str(file)}
    world.run(own)
    file.unlink()
    assert not world.run(own).changed


def test_models_are_loaded_and_unloaded_as_the_list_says() -> None:
    world = World("base:1")
    outcome = world.run({"name": "base:1", "loaded": True, "keep_alive": "24h"})
    assert actions(outcome) == {"base:1": "pull"}
    body = next(asked.json for asked in world.server.asked if asked.path == "/api/generate")
    assert body["keep_alive"] == "24h"
    assert not world.run({"name": "base:1", "loaded": True}).changed
    assert actions(world.run({"name": "base:1", "loaded": False})) == {"base:1": "unload"}
    assert actions(world.run({"name": "base:1", "loaded": True, "keep_alive": "-1"})) == {
        "base:1": "load"
    }
    body = next(asked.json for asked in world.server.asked if asked.path == "/api/generate")
    assert body["keep_alive"] == -1


def test_a_model_that_only_embeds_is_loaded_by_embedding() -> None:
    world = World()
    world.registry.push("embed", ("model", gguf("bert", pooling_type=1)))
    assert world.run({"name": "embed", "loaded": True}).changed
    assert not world.run({"name": "embed", "loaded": True}).changed


def test_a_model_in_memory_that_was_replaced_is_loaded_anew() -> None:
    world, wanted = World("base:1"), {"name": "base:1", "state": "latest", "loaded": True}
    world.run(wanted)
    world.registry.push("base:1", OTHER)
    world.run(wanted)
    assert world.server.memory.running()[0]["digest"] == world.registry.digest("base:1")
    assert not world.run(wanted).changed


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


# What is wrong with the list


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


# What has to fit

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


# The container


def test_a_container_that_does_not_run_yet_is_left_for_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(task, "address", lambda container, image: None)
    world = World("base:1")
    outcome = world.run("base:1", url=None, container="box-ollama-1")
    assert outcome.result["deferred"] is True
    assert not outcome.changed
    predicted = world.run("base:1", MINE, url=None, container="box-ollama-1", check=True)
    assert predicted.result["deferred"] is True
    assert actions(predicted) == {"base:1": "pull", "mine:latest": "create"}
    assert predicted.after == {"base:1": "(known after apply)", "mine:latest": "from base:1"}
    assert world.asked == []
    assert world.registry.asked == []


def test_the_names_of_the_result_are_those_of_ollama() -> None:
    world = World("base")
    assert [model["name"] for model in world.run("Library/base").result["models"]] == [
        "base:latest"
    ]
    assert Name.parse("Library/base").short == "base:latest"


def checks_sha(file: Path) -> str:
    import hashlib

    return hashlib.sha256(file.read_bytes()).hexdigest()
