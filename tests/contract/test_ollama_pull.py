# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pulls: what the stream says, and what is there afterwards."""

from __future__ import annotations

import pytest

from tests.contract.conftest import Server
from tests.unit.fakes.faults import TOO_OLD, Asked, Fault
from tests.unit.fakes.gguf import gguf

WEIGHTS = ("model", gguf(size=100_000))
TEMPLATE = ("template", b"{{ .Prompt }} and more")
END = ["verifying sha256 digest", "writing manifest", "success"]


def fetching(server: Server, name: str = "tiny") -> list[str]:
    """What a pull says of each layer."""
    return [f"pulling {layer['digest'][7:19]}" for layer in server.registry.layers(name)]


def test_a_pull_and_what_it_leaves(server: Server) -> None:
    digest = server.registry.push("tiny", WEIGHTS)
    name = f"{server.host}/library/tiny"
    answer = server.pull(name)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/x-ndjson")
    assert answer.said == ["pulling manifest", *fetching(server), *END]
    sizes = {layer["digest"]: layer["size"] for layer in server.registry.layers("tiny")}
    for line in answer.lines:
        if "digest" in line:
            assert line["total"] == sizes[line["digest"]]
            assert 0 < line.get("completed", 1) <= line["total"]
        else:
            assert set(line) == {"status"}
    (model,) = server.models.values()
    assert model["name"] == model["model"] == f"{name}:latest"
    assert model["digest"] == digest
    assert model["size"] == sum(sizes.values())
    assert set(model) == {"name", "model", "modified_at", "size", "digest", "details"}
    assert model["details"] == {
        "parent_model": "",
        "format": "gguf",
        "family": "llama",
        "families": ["llama"],
        "parameter_size": "140K",
        "quantization_level": "F16",
    }


def test_the_same_again_says_one_line_for_each_layer(server: Server) -> None:
    server.registry.push("tiny", WEIGHTS)
    name = f"{server.host}/library/tiny:latest"
    server.pull(name)
    asked = server.registry.count()
    again = server.pull(name)
    cached = [
        {
            "status": f"pulling {layer['digest'][7:19]}",
            "digest": layer["digest"],
            "total": layer["size"],
            "completed": layer["size"],
        }
        for layer in server.registry.layers("tiny")
    ]
    ends = [{"status": text} for text in END]
    assert again.lines == [{"status": "pulling manifest"}, *cached, *ends]
    assert server.registry.count() == asked + 1


def test_a_moved_tag_removes_what_only_the_old_model_had(server: Server) -> None:
    server.registry.push("tiny", WEIGHTS)
    name = f"{server.host}/library/tiny"
    server.pull(name)
    gone = server.registry.layers("tiny")[0]["digest"]
    digest = server.registry.push("tiny", TEMPLATE)
    answer = server.pull(name)
    end = ["verifying sha256 digest", "writing manifest", "removing unused layers", "success"]
    assert answer.said == ["pulling manifest", *fetching(server), *end]
    assert server.models[f"{name}:latest"]["digest"] == digest
    assert server.ask("HEAD", f"/api/blobs/{gone}").status == 404


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (None, "pull model manifest: file does not exist"),
        (Fault("/v2", status=412, text=TOO_OLD), f"pull model manifest: 412: {TOO_OLD}"),
        (Fault("/v2", status=503, text="busy"), "pull model manifest: 503: busy"),
        (Fault("/v2", status=404), "pull model manifest: file does not exist"),
    ],
)
def test_what_the_registry_refuses_comes_in_the_stream(
    server: Server, fault: Fault | None, error: str
) -> None:
    for stream in (True, False):
        if fault:
            server.registry.push("tiny", WEIGHTS)
            fault.times = 1
            server.registry.faults = [fault]
        answer = server.pull(f"{server.host}/library/tiny", stream=stream)
        if stream:
            assert answer.status == 200
            assert answer.lines == [{"status": "pulling manifest"}, {"error": error}]
        else:
            assert (answer.status, answer.json) == (500, {"error": error})
    assert server.models == {}


def test_without_a_stream_only_the_end_is_said(server: Server) -> None:
    server.registry.push("tiny", TEMPLATE)
    answer = server.pull(f"{server.host}/library/tiny", stream=False)
    assert (answer.status, answer.json) == (200, {"status": "success"})


def test_a_registry_without_tls_needs_to_be_told(server: Server) -> None:
    """Whose words about TLS these are depends on the registry's answer to a TLS greeting."""
    server.registry.push("tiny", TEMPLATE)
    place = f"https://{server.host}/v2/library/tiny/manifests/latest"
    refused = f'error: pull model manifest: Get "{place}": '
    for name in (f"{server.host}/library/tiny", f"http://{server.host}/library/tiny"):
        assert server.pull(name, insecure=False).said[-1].startswith(refused)


def test_a_scheme_in_the_name_is_not_heard(server: Server) -> None:
    server.registry.push("tiny", TEMPLATE)
    assert server.pull(f"https://{server.host}/library/tiny").said[-1] == "success"
    assert list(server.models) == [f"{server.host}/library/tiny:latest"]


def test_a_host_that_does_not_exist(server: Server) -> None:
    answer = server.pull("registry.invalid/library/tiny")
    assert answer.said[0] == "pulling manifest"
    place = "http://registry.invalid/v2/library/tiny/manifests/latest"
    assert answer.said[1].startswith(f'error: pull model manifest: Get "{place}": dial tcp')


def test_a_registry_that_does_not_redirect(server: Server) -> None:
    server.registry.push("tiny", TEMPLATE)
    server.registry.redirects_to = ""
    answer = server.pull(f"{server.host}/library/tiny")
    assert answer.said[-1] == "error: http: no Location header in response"
    assert server.models == {}


def test_a_layer_that_is_not_what_its_digest_says(server: Server) -> None:
    server.registry.push("tiny", TEMPLATE)
    layer = server.registry.layers("tiny")[0]["digest"]
    server.registry.blobs[layer] = TEMPLATE[1].upper()
    answer = server.pull(f"{server.host}/library/tiny")
    got = "sha256:59bc2e1b5f68938a99846bd61c2fdd5804abaab32b8464b71e5836c8d9ac9d91"
    error = f"error: digest mismatch, file must be downloaded again: want {layer}, got {got}"
    assert answer.said[-2:] == ["verifying sha256 digest", error]
    assert server.ask("HEAD", f"/api/blobs/{layer}").status == 404
    assert server.models == {}


def test_a_layer_that_the_registry_does_not_have(server: Server) -> None:
    server.registry.push("tiny", TEMPLATE)
    del server.registry.blobs[server.registry.layers("tiny")[0]["digest"]]
    answer = server.pull(f"{server.host}/library/tiny")
    assert answer.said == ["pulling manifest", "error: file does not exist"]


def test_a_connection_that_breaks_is_gone_on_with(server: Server) -> None:
    server.registry.push("tiny", WEIGHTS)
    size = sum(layer["size"] for layer in server.registry.layers("tiny"))
    broken = Fault("/v2/library/tiny/blobs", method="GET", then="cut", size=60_000)

    def break_the_first_part(asked: Asked) -> None:
        """The GET before it is only redirected."""
        if "range" in asked.headers and not server.registry.faults:
            server.registry.faults.append(broken)

    server.registry.meanwhile = break_the_first_part
    assert server.pull(f"{server.host}/library/tiny").said[-1] == "success"
    assert broken.times == 0
    assert server.registry.fetched() < size * 1.1


def test_names_are_found_however_they_are_spelled(server: Server) -> None:
    server.registry.push("tiny", TEMPLATE)
    name = f"{server.host}/library/tiny"
    server.pull(name)
    assert server.pull(f"{server.host}/Library/TINY:Latest").said[-1] == "success"
    assert list(server.models) == [f"{name}:latest"]
    assert server.ask("DELETE", "/api/delete", {"model": name.upper()}).status == 200
    assert server.models == {}
