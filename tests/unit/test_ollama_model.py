# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ollama_model: what it does about a list of models, and what that costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpubox.llm.plugins.module_utils._ollama import task
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.gguf import sha256
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.names import Name

from tests.unit.fakes.gguf import gguf
from tests.unit.ollama_world import MINE, OTHER, World, actions, here


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
        f"{verb} /api/blobs/sha256:{sha256(str(file))}" for verb in ("HEAD", "POST")
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
