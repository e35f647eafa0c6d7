# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of models mean what they mean to Ollama."""

from __future__ import annotations

import pytest
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.names import (
    Name,
    OllamaError,
    is_loopback,
)

from tests.unit.fakes import ollama_store

SAME = [
    ("llama3.2", "llama3.2:latest"),
    ("Library/LLAMA3.2:3B", "llama3.2:3b"),
    ("registry.ollama.ai/library/llama3.2", "llama3.2"),
    ("HF.co/someone/A-Model.GGUF:q4_K_M", "hf.co/Someone/a-model.gguf:Q4_K_M"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_two_spellings_are_one_model(one: str, other: str) -> None:
    assert Name.parse(one) == Name.parse(other)
    assert len({Name.parse(one), Name.parse(other)}) == 1


LISTED = [
    ("llama3.2", "llama3.2:latest"),
    ("registry.ollama.ai/library/llama3.2:3b", "llama3.2:3b"),
    ("someone/llama3.2", "someone/llama3.2:latest"),
    ("models.example.com:5000/library/llama3.2", "models.example.com:5000/library/llama3.2:latest"),
    ("_a:b", "_a:b"),
]


@pytest.mark.parametrize(("text", "listed"), LISTED)
def test_a_name_is_written_as_ollama_lists_it(text: str, listed: str) -> None:
    assert Name.parse(text).short == str(Name.of(listed)) == listed
    server = ollama_store.Name.parse(text)
    assert server is not None
    assert server.short == listed


REFUSED = [
    ("", "empty"),
    ("a b", "its model is 'a b'"),
    ("llama3.2:", "empty"),
    ("/llama3.2", "empty"),
    ("someone//llama3.2", "empty"),
    ("-llama", "start with a letter"),
    ("some.one/llama3.2", "its namespace is 'some.one'"),
    ("llama3.2:3b\n", "its tag is"),
    ("llama3.2\0", "its model is"),
    ("llämä", "its model is"),
    ("a" * 81, "81 characters"),
    ("../../etc/passwd", "path"),
    ("a/../b", "path"),
    ("https://models.example.com/library/llama3.2", "scheme"),
    ("llama3.2@sha256:0123", "option digest"),
    ("registry.ollama.ai/library/deep/llama3.2", "path"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_what_is_no_name_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(OllamaError, match=f"is no model name: .*{reason}"):
        Name.parse(text)


@pytest.mark.parametrize("tag", ["cloud", "120b-cloud", "120B-Cloud"])
def test_cloud_models_are_known_by_their_tag(tag: str) -> None:
    assert Name.parse(f"gpt-oss:{tag}").is_cloud


def test_a_model_that_only_looks_like_the_cloud_is_none() -> None:
    assert not Name.parse("cloud:20b").is_cloud
    assert not Name.parse("gpt-oss:cloudy").is_cloud


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1:5000", "127.8.9.1"])
def test_loopback_hosts_are_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["localhost.example.com", "127.0.0.1.example.com", "10.0.0.1:5000", "registry.ollama.ai"],
)
def test_other_hosts_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)
