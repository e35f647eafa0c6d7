# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that the server refuses or that change nothing: statuses and words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.conftest import Server
from tests.rig.ollama import VERSION

NOTHING = "sha256:" + "0" * 64


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_it_says_that_it_runs(server: Server, method: str) -> None:
    answer = server.ask(method, "/")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert answer.body == (b"Ollama is running" if method == "GET" else b"")


def test_the_version(server: Server) -> None:
    answer = server.ask("GET", "/api/version")
    assert (answer.status, answer.json) == (200, {"version": VERSION})
    assert server.ask("HEAD", "/api/version").status == 200


@pytest.mark.parametrize("path", ["/api/tags", "/api/ps"])
def test_nothing_there_is_an_empty_list(server: Server, path: str) -> None:
    assert server.ask("GET", path).json == {"models": []}


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/api/none", 404, b"404 page not found"),
        ("GET", "/api/pull", 405, b"405 method not allowed"),
        ("POST", "/api/tags", 405, b"405 method not allowed"),
        ("POST", "/api/delete", 405, b"405 method not allowed"),
        ("GET", f"/api/blobs/{NOTHING}", 405, b"405 method not allowed"),
    ],
)
def test_no_such_place_or_verb(
    server: Server, method: str, path: str, status: int, body: bytes
) -> None:
    answer = server.ask(method, path)
    assert (answer.status, answer.body) == (status, body)


BODIES = [
    ("POST", "pull"),
    ("POST", "show"),
    ("POST", "create"),
    ("POST", "copy"),
    ("DELETE", "delete"),
    ("POST", "generate"),
    ("POST", "embed"),
]


@pytest.mark.parametrize(("method", "path"), BODIES)
def test_a_body_is_needed(server: Server, method: str, path: str) -> None:
    answer = server.ask(method, f"/api/{path}")
    assert (answer.status, answer.json) == (400, {"error": "missing request body"})
    assert server.ask(method, f"/api/{path}", b'{"model":').status == 400


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        ("POST", "pull", {"model": "a b"}, 400, "invalid model name"),
        ("POST", "pull", {"model": ""}, 400, "invalid model name"),
        ("POST", "pull", {"name": "../x"}, 400, "invalid model name"),
        ("POST", "pull", {"model": "ns.dot/x"}, 400, "invalid model name"),
        ("POST", "pull", {"model": "x:"}, 400, "invalid model name"),
        ("POST", "pull", {"model": "x" * 81}, 400, "invalid model name"),
        ("POST", "show", {"model": ""}, 400, "model is required"),
        ("POST", "show", {"model": "a b"}, 500, "invalid model path"),
        ("POST", "show", {"model": "x"}, 404, "model 'x' not found"),
        ("POST", "show", {"name": "X/y:z"}, 404, "model 'X/y:z' not found"),
        ("DELETE", "delete", {"model": "x"}, 404, "model 'x' not found"),
        ("DELETE", "delete", {"model": "a b"}, 400, 'name "a b" is invalid'),
        ("POST", "copy", {"source": "x", "destination": "y"}, 404, 'model "x" not found'),
        ("POST", "copy", {"source": "a b", "destination": "y"}, 400, 'source "a b" is invalid'),
        ("POST", "copy", {"source": "x"}, 400, 'destination "" is invalid'),
        ("POST", "generate", {"model": "x"}, 404, "model 'x' not found"),
        ("POST", "generate", {"model": "a b"}, 404, "model 'a b' not found"),
        (
            *("POST", "embed", {"model": "x", "input": "hi"}),
            *(404, 'model "x" not found, try pulling it first'),
        ),
        ("POST", "create", {"model": "a b", "from": "x"}, 400, "invalid model name"),
        ("POST", "create", {"model": "x", "from": "a b"}, 400, "invalid model name"),
        (
            *("POST", "create", {"model": "x"}),
            *(400, "neither 'from' or 'files' was specified"),
        ),
        (
            *("POST", "create", {"model": "x", "files": {"/x.gguf": NOTHING}}),
            *(400, "file path must be relative"),
        ),
        ("POST", "create", {"model": "x", "files": {}}, 400, "unknown type"),
        ("POST", "create", {"model": "x", "files": {"x.txt": NOTHING}}, 400, "unknown type"),
    ],
)
def test_what_is_refused(
    server: Server, method: str, path: str, body: dict[str, Any], status: int, error: str
) -> None:
    answer = server.ask(method, f"/api/{path}", body)
    assert (answer.status, answer.json) == (status, {"error": error})
    assert answer.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:11434", "8.8.8.8", "localhost.evil.example"]
)
def test_a_foreign_host_header_is_refused_without_a_word(server: Server, host: str) -> None:
    answer = server.ask("GET", "/api/version", Host=host)
    assert (answer.status, answer.body) == (403, b"")


@pytest.mark.parametrize(
    "host",
    ["localhost:11434", "host.docker.internal", "box.local:1", "192.168.1.5", "172.17.0.1:80"],
)
def test_a_host_header_of_this_network_is_not(server: Server, host: str) -> None:
    assert server.ask("GET", "/api/version", Host=host).status == 200


def test_blobs(server: Server, weights: bytes) -> None:
    digest = server.upload(weights)
    there = server.ask("HEAD", f"/api/blobs/{digest}")
    assert (there.status, there.body) == (200, b"")
    again = server.ask("POST", f"/api/blobs/{digest}", weights)
    assert (again.status, again.body) == (200, b"")
    assert server.ask("HEAD", f"/api/blobs/{NOTHING}").status == 404
    other = server.ask("POST", f"/api/blobs/{NOTHING}", b"other")
    got = "sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"
    mismatch = f'digest mismatch, expected "{NOTHING}", got "{got}"'
    assert (other.status, other.json) == (400, {"error": mismatch})
    for verb in ("HEAD", "POST"):
        assert server.ask(verb, "/api/blobs/sha256:12", b"x").status == 400
    wrong = server.ask("POST", "/api/blobs/sha256:12", b"x").json
    assert wrong == {"error": "invalid digest format"}


def test_a_new_blob_is_created(server: Server) -> None:
    digest = "sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"
    answer = server.ask("POST", f"/api/blobs/{digest}", b"other")
    assert (answer.status, answer.body) == (201, b"")
