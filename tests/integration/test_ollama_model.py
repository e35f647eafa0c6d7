# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ollama_model and ollama_model_info with the real Ollama, in a container without a way to the Internet."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.ollama_model_box import Box, Front, eventually, front
from tests.rig import models, ollama
from tests.rig.commands import run
from tests.unit.fakes.gguf import gguf

MEGABYTES = 6


@pytest.fixture(scope="session")
def image() -> str:
    return ollama.image()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Models that answer (``tiny`` and ``other``, with one template), and one that embeds."""
    place = tmp_path_factory.mktemp("models")
    template = ("template", b"{{ .Prompt }}")
    with front() as made:
        for seed, name in enumerate(("tiny", "other"), 1):
            made.mirror.push(
                name, ("model", models.tiny(place / name, seed).read_bytes()), template
            )
        embedding = models.tiny(place / "embed", embedding=True).read_bytes()
        made.mirror.push("embed", ("model", embedding), template)
        yield made


@contextmanager
def box_of(image: str, directory: Path, registry: Front, megabytes: int = 0) -> Iterator[Box]:
    """A box; with ``megabytes`` its volume has only so much space."""
    made = Box(f"ollm-{secrets.token_hex(3)}", directory, registry)
    try:
        made.up(image, megabytes)
        registry.asked()
        yield made
    finally:
        made.destroy()


@pytest.fixture
def box(image: str, registry: Front, tmp_path: Path) -> Iterator[Box]:
    with box_of(image, tmp_path, registry) as made:
        yield made


def test_a_model_is_pulled_by_a_puller_and_answers(box: Box) -> None:
    predicted = box.run([{"name": "tiny"}], "--check", "--diff")
    assert (predicted.rc, predicted.changed, box.has_puller()) == (0, True, False), predicted.output
    pulled = box.have("tiny")
    assert pulled.actions == predicted.actions == {"tiny:latest": "pull"}
    assert pulled.digests == predicted.digests
    assert box.answer("tiny")
    assert not box.has_puller()
    assert box.ollama("list").count("\n") == 2  # the head, and no name of the mirror


def test_what_is_there_costs_no_puller_and_no_request_to_a_registry(box: Box) -> None:
    pulled = box.have("tiny", "other")
    assert box.registry_traffic()
    with box.no_puller():
        again = box.have("Library/tiny:latest", "other")
    assert (again.changed, box.registry_traffic()) == (False, [])
    assert again.digests == pulled.digests
    pinned = [{"name": "tiny", "digest": pulled.digests["tiny:latest"]}]
    assert box.run(pinned).changed is False
    assert box.registry_traffic() == []


def test_a_run_that_is_killed_leaves_no_puller_and_the_next_one_goes_on(
    image: str, tmp_path: Path
) -> None:
    weights = gguf(size=MEGABYTES << 20)
    with front("1500k") as slow:
        slow.mirror.push("slow", ("model", weights))
        with box_of(image, tmp_path, slow) as box:
            started = box.start([{"name": "slow"}])
            eventually(lambda: box.received() > 0.6 * len(weights))
            assert box.networks_of_puller() == {box.puller}
            started.kill()
            eventually(lambda: not box.has_puller(), 10)
            assert any(name.endswith("-partial") for name in box.blobs())
            box.have("slow")
            fetched = sum(size for _method, path, size in slow.asked() if "/blobs/" in path)
            assert len(weights) <= fetched <= 1.1 * len(weights)
            assert not [name for name in box.blobs() if "partial" in name]
            assert box.puller not in run("docker", "network", "ls", "--format", "{{.Name}}").split()


def test_a_damaged_blob_and_a_cut_manifest_are_found_and_pulled_again(box: Box) -> None:
    pulled = box.have("tiny", "other", "embed")
    manifests = box.models_dir / "manifests/registry.ollama.ai/library"
    blob = weights_of(manifests / "tiny/latest", box.models_dir)
    content = blob.read_bytes()
    blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    cut = manifests / "other/latest"
    cut.write_bytes(cut.read_bytes()[:100])
    healthy = {path: path.stat().st_mtime_ns for path in box.files_of("embed")}
    box.registry_traffic()

    assert box.have("tiny").changed is False  # nobody looks unless told to
    names = [{"name": "tiny"}, {"name": "other"}, {"name": "embed"}]
    found = box.run(names, "--check", verify=True)
    assert found.rc == 0
    assert blob.read_bytes() != content
    repaired = box.run(names, verify=True)
    assert repaired.actions == found.actions, repaired.output
    assert repaired.actions == {
        "tiny:latest": "pull",
        "other:latest": "pull",
        "embed:latest": "none",
    }
    assert repaired.digests == pulled.digests
    assert blob.read_bytes() == content
    assert {path: path.stat().st_mtime_ns for path in healthy} == healthy
    assert box.answer("other")
    assert box.run(names, verify=True).changed is False


def test_a_created_model_is_created_once_and_again_when_what_it_is_made_of_changes(
    box: Box, tmp_path: Path
) -> None:
    lora = models.adapter(tmp_path / "lora.gguf")
    base = {"name": "tiny"}
    kid = {
        "name": "helpdesk",
        "from": "tiny",
        "system": 'Answer "shortly".\n',
        "template": "{% raw %}{{ .System }} {{ .Prompt }}{% endraw %}",
        "parameters": {
            "temperature": "0.2",
            "num_ctx": 512,
            "stop": ["</s>", 'a\\"b\n'],
            "top_p": 1e-7,
        },
        "adapters": [str(lora)],
    }
    predicted = box.run([base, kid], "--check")
    made = box.run([base, kid])
    assert made.actions == predicted.actions == {"tiny:latest": "pull", "helpdesk:latest": "create"}
    assert box.answer("helpdesk")
    with box.no_puller():
        assert box.run([base, kid]).changed is False
        changes: list[dict[str, Any]] = [{"system": "Other."}, {"parameters": {"stop": []}}]
        for change in [*changes, {"adapters": []}]:
            kid.update(change)
            assert box.run([base, kid]).actions["helpdesk:latest"] == "create", change
            assert box.run([base, kid]).changed is False, change


def test_a_model_comes_from_a_file_and_is_quantized(box: Box, tmp_path: Path) -> None:
    file = models.tiny(tmp_path / "own.gguf", seed=7)
    own = [
        {"name": "own", "file": str(file), "quantize": "q8_0"},
        {"name": "plain", "file": str(file)},
    ]
    with box.no_puller():
        assert set(box.run(own).actions.values()) == {"create"}
        assert box.answer("own")
        assert box.run(own).changed is False
        models.tiny(file, seed=8)
        assert box.run(own[1:]).actions == {"plain:latest": "create"}
        kinds = {model["name"]: model["quantization"] for model in box.info()["models"]}
        assert kinds == {"own:latest": "Q8_0", "plain:latest": "F16"}
    assert box.registry_traffic() == []


@pytest.mark.parametrize("content", [b"<html>", gguf()[:-20]])
def test_a_file_that_is_no_whole_gguf_is_refused_before_anything_happens(
    box: Box, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "bad.gguf"
    file.write_bytes(content)
    refused = box.run([{"name": "tiny"}, {"name": "own", "file": str(file)}])
    assert refused.rc != 0
    assert str(file) in refused.message
    assert box.ollama("list").count("\n") == 1


def test_models_are_loaded_and_unloaded_and_one_that_is_loaded_can_be_removed(box: Box) -> None:
    def wanted(loaded: bool) -> list[dict[str, Any]]:
        return [{"name": name, "loaded": loaded, "keep_alive": "1h"} for name in ("tiny", "embed")]

    box.have("tiny", "embed")
    assert box.run(wanted(True)).actions == {"tiny:latest": "load", "embed:latest": "load"}
    reported = {model["name"]: model for model in box.info()["models"]}
    assert reported["tiny:latest"]["loaded"]["gpu_percent"] == 0
    assert reported["embed:latest"]["loaded"]["size"] > 0
    assert reported["embed:latest"]["capabilities"] == ["embedding"]
    assert box.run(wanted(True)).changed is False

    gone: list[dict[str, Any]] = [
        {"name": "tiny", "state": "absent"},
        {"name": "embed", "loaded": False},
    ]
    assert box.run(gone).actions == {"tiny:latest": "delete", "embed:latest": "unload"}
    assert box.run(gone).changed is False
    (left,) = box.info()["models"]
    assert (left["name"], left["loaded"]) == ("embed:latest", None)


def test_a_tag_that_moved_is_replaced_and_what_it_was_before_is_swept(box: Box) -> None:
    box.front.mirror.push("moving", ("model", gguf(size=50_000)))
    first = box.have("moving", "tiny")
    before, unpinned = box.blobs(), [{"name": "moving"}, {"name": "tiny"}]
    box.front.mirror.push("moving", ("model", gguf(size=60_000)))
    assert box.run(unpinned).changed is False

    pin = first.digests["moving:latest"]
    box.ollama("rm", "moving")
    refused = box.run([{"name": "moving", "digest": pin}])
    assert refused.rc != 0
    assert pin in refused.message
    assert "moving" not in box.ollama("list")

    box.front.mirror.push("moving", ("model", gguf(size=50_000)))
    assert box.run(unpinned).digests == first.digests
    assert box.blobs() == before
    box.front.mirror.push("moving", ("model", gguf(size=60_000)))
    latest = box.run([{"name": "moving", "state": "latest"}, {"name": "tiny"}])
    assert latest.actions == {"moving:latest": "pull", "tiny:latest": "none"}
    assert len(before - box.blobs()) == len(box.blobs() - before) == 1
    assert box.answer("tiny")


def test_two_runs_at_once_pull_one_after_the_other(image: str, tmp_path: Path) -> None:
    with front("2000k") as slow:
        slow.mirror.push("slow", ("model", gguf(size=MEGABYTES << 20)))
        with box_of(image, tmp_path, slow) as box:
            first = box.start([{"name": "slow"}])
            eventually(box.has_puller)
            second = box.start([{"name": "slow"}]).wait()
            assert (second.rc, first.wait().rc) == (0, 0)
            assert "waiting for another run that is pulling models (process" in second.output
            fetched = sum(size for _method, path, size in slow.asked() if "/blobs/" in path)
            assert fetched < 1.1 * (MEGABYTES << 20)


def test_a_registry_that_is_down_or_lacks_the_model_is_named(box: Box) -> None:
    box.have("tiny")
    lacking = box.run([{"name": "tiny"}, {"name": "none:v9"}])
    assert lacking.rc != 0
    assert "none:v9" in lacking.message
    with box.no_puller():
        down = box.run(
            [{"name": "tiny"}, {"name": "other"}], registry_mirror="https://172.17.0.1:9"
        )
        assert down.rc != 0
        assert "172.17.0.1:9" in down.message
        assert box.have("tiny", registry_mirror="https://172.17.0.1:9").changed is False


def test_a_disk_that_is_or_becomes_full_is_named_and_the_rest_is_kept(
    image: str, registry: Front, tmp_path: Path
) -> None:
    registry.mirror.push("large", ("model", gguf(size=MEGABYTES << 20)))
    with box_of(image, tmp_path, registry, megabytes=4) as box:
        box.have("tiny")
        refused = box.run([{"name": "large"}])
        assert refused.rc != 0
        assert "no space" in refused.message
        full = box.run([{"name": "large"}], models_dir=str(tmp_path))  # as if it were not known
        assert full.rc != 0
        assert "disk is full" in full.message
        assert not box.has_puller()
        assert box.answer("tiny")


def test_models_that_the_list_does_not_name_are_pruned(box: Box) -> None:
    box.have("tiny", "other", network="bridge")
    pruned = box.run([{"name": "tiny"}], prune=True)
    assert pruned.actions == {"tiny:latest": "none", "other:latest": "delete"}
    assert [model["name"] for model in box.info()["models"]] == ["tiny:latest"]


def test_a_container_that_does_not_run_defers_everything(box: Box) -> None:
    run("docker", "stop", "--time", "1", box.name)
    deferred = box.run([{"name": "tiny"}])
    assert (deferred.rc, deferred.changed, deferred.data["deferred"]) == (0, False, True)
    predicted = box.run([{"name": "tiny"}], "--check")
    assert (predicted.changed, predicted.data["deferred"]) == (True, True)


def weights_of(manifest: Path, models_dir: Path) -> Path:
    layers = json.loads(manifest.read_text())["layers"]
    digest = next(one["digest"] for one in layers if one["mediaType"].endswith("image.model"))
    return models_dir / "blobs" / digest.replace(":", "-")
