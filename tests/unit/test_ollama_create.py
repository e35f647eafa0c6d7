# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a created model is made of, and how one is found to differ from its declaration."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.create import (
    is_created,
    parameters,
    payload,
    wanted,
)
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.names import OllamaError

A, B, ADAPTER = "a" * 64, "b" * 64, "c" * 64
DIGESTS = {"/srv/a.gguf": A, "/srv/b.gguf": B, "/srv/lora.gguf": ADAPTER}


def model(**options: Any) -> dict[str, Any]:
    return {"name": "kid", **{key.rstrip("_"): value for key, value in options.items()}}


def show(blob: str = A, parent: str = "", *adapters: str, **answer: Any) -> dict[str, Any]:
    """What the real server answers, as far as it is looked at; parameters are given as its lines."""
    lines = ["# FROM kid:latest", "", f"FROM /models/blobs/sha256-{blob}"]
    lines += [f"ADAPTER /models/blobs/sha256-{adapter}" for adapter in adapters]
    details = {"parent_model": parent, "quantization_level": answer.pop("level", "F16")}
    answer["parameters"] = "\n".join(answer.pop("lines", ()))
    return {
        "modelfile": "\n".join(lines),
        "details": details,
        "template": "{{ .Prompt }}",
        **answer,
    }


BASE = show(system="Of the base.", lines=['stop                           "</s>"'])
FROM_BASE: dict[str, Any] = {
    "parent": "base:latest",
    "system": "Of the base.",
    "lines": ['stop  "</s>"'],
}


@pytest.mark.parametrize("key", ["from", "file", "system", "template", "parameters", "adapters"])
def test_a_model_is_created_if_anything_says_of_what(key: str) -> None:
    assert is_created({"name": "kid", key: ""})
    assert not is_created({"name": "kid", key: None, "state": "present"})


def test_a_payload_holds_what_is_declared_and_nothing_else() -> None:
    declared = model(from_="Base", system="Be short.", template="", parameters={"top_k": "40"})
    assert payload({**declared, "quantize": None}) == {
        "model": "kid:latest",
        "from": "Base:latest",
        "system": "Be short.",
        "parameters": {"top_k": 40},
    }


def test_files_are_named_by_their_digests() -> None:
    declared = model(file="/srv/a.gguf", adapters=["/srv/lora.gguf"], quantize="q8_0")
    assert payload(declared, DIGESTS) == {
        "model": "kid:latest",
        "files": {"model.gguf": f"sha256:{A}"},
        "adapters": {"adapter-1.gguf": f"sha256:{ADAPTER}"},
        "quantize": "q8_0",
    }


@pytest.mark.parametrize(
    ("key", "given", "typed"),
    [
        ("temperature", "0.2", 0.2),
        ("temperature", 1, 1),
        ("num_ctx", "8192", 8192),
        ("num_ctx", 8192.0, 8192),
        ("use_mmap", "yes", True),
        ("stop", "END", ["END"]),
        ("stop", [1, "</s>"], ["1", "</s>"]),
    ],
)
def test_parameters_get_the_type_that_they_have(key: str, given: Any, typed: Any) -> None:
    found = parameters({key: given})[key]
    assert (found, type(found)) == (typed, type(typed))


@pytest.mark.parametrize(
    ("key", "given", "said"),
    [
        ("temprature", 0.2, "Did you mean temperature?"),
        ("zzz", 1, "Known are"),
        ("num_ctx", "8k", "num_ctx is '8k', but it has to be a whole number"),
        ("num_ctx", 0.5, "a whole number"),
        ("temperature", True, "has to be a number"),
        ("temperature", "nan", "has to be a number"),
        ("use_mmap", 2, "true or false"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(key: str, given: Any, said: str) -> None:
    with pytest.raises(OllamaError, match=said.replace("?", r"\?")):
        parameters({key: given})


def test_a_model_that_is_not_there_is_wanted_as_declared() -> None:
    assert wanted(model(from_="base", system="", quantize=None), None) == {
        "from": "base",
        "system": "",
    }


def test_a_model_as_declared_needs_nothing() -> None:
    declared = model(
        from_="BASE:latest",
        system='You are\n"short".',
        template="{{ .System }}",
        parameters={"temperature": "0.2", "num_ctx": 8192, "stop": 'a"\\\t€', "use_mmap": True},
        adapters=["/srv/lora.gguf"],
    )
    lines = [
        "temperature                    0.2",
        "num_ctx                        8192",
        r'stop                           "a\"\\\t€"',
        "use_mmap                       true",
    ]
    there = show(
        A, "base:latest", ADAPTER, system='You are\n"short".', template="{{ .System }}", lines=lines
    )
    assert wanted(declared, there, base=BASE, digests=DIGESTS) is None


def test_lists_and_large_numbers_are_read_as_go_writes_them() -> None:
    declared = model(
        from_="base", parameters={"stop": ["a b", "\n"], "seed": 12345678, "top_p": 1e-7}
    )
    lines = ['stop   "a b"', "seed  1.2345678e+07", r'stop  "\n"', "top_p 1e-07"]
    assert wanted(declared, show(A, "base:latest", lines=lines), base=BASE) is None


@pytest.mark.parametrize(
    ("declared", "there"),
    [
        ({"from_": "other"}, show(A, "base:latest")),
        ({"from_": "base"}, show(B, "base:latest")),  # the base has other weights by now
        ({"from_": "base"}, show(B)),  # was quantized, or made from a file
        ({"file": "/srv/b.gguf"}, show(A, f"/models/blobs/sha256-{A}")),
        ({"quantize": "q4_K_M"}, show(level="Q8_0")),
        ({"system": "x"}, show(system="y")),
        ({"template": "x"}, show()),
        ({"parameters": {"use_mmap": True}}, show(lines=["use_mmap 1"])),
        ({"parameters": {"top_k": 1}}, show(lines=['stop "</s>"', "top_k 1", "top_p 1"])),
        ({"parameters": {}}, show(lines=["top_p 1"])),
        ({"adapters": []}, show(A, "", ADAPTER)),
        ({"adapters": ["/srv/lora.gguf"]}, show()),
    ],
)
def test_each_difference_is_found_and_named(
    declared: dict[str, Any], there: dict[str, Any]
) -> None:
    found = wanted(model(**declared), there, base=BASE, digests=DIGESTS)
    assert found == {key.rstrip("_"): value for key, value in declared.items()}


@pytest.mark.parametrize(
    "declared",
    [
        {"from_": "base"},
        {"system": None},
        {"system": ""},  # nothing of its own: what the base has
        {"template": ""},
        {"parameters": {}},
        {"parameters": {"stop": ["</s>"]}},
        {"adapters": []},
    ],
)
def test_what_the_base_brings_is_no_difference(declared: dict[str, Any]) -> None:
    assert wanted(model(**declared), show(**FROM_BASE), base=BASE, digests=DIGESTS) is None


def test_an_empty_list_takes_a_parameter_of_the_base_away() -> None:
    declared = model(from_="base", parameters={"stop": []})
    assert wanted(declared, show(A, "base:latest"), base=BASE) is None
    assert wanted(declared, show(A, "base:latest", lines=['stop "</s>"']), base=BASE)


def test_a_file_may_bring_a_template_and_parameters() -> None:
    declared = model(file="/srv/a.gguf", template="", parameters={"top_k": 1})
    there = show(A, f"C:\\models\\blobs\\sha256-{A}", lines=["top_k 1", 'stop "</s>"'])
    assert wanted(declared, there, digests=DIGESTS) is None


@pytest.mark.parametrize("source", [{"from_": "base"}, {"file": "/srv/a.gguf"}])
def test_a_quantized_model_has_weights_of_its_own(source: dict[str, str]) -> None:
    declared = model(**source, quantize="q4_k")
    assert wanted(declared, show(B, level="Q4_K_M"), base=BASE, digests=DIGESTS) is None


def test_a_file_that_was_not_read_is_not_compared() -> None:
    declared = model(file="/srv/gone.gguf", adapters=["/srv/gone.gguf"])
    assert wanted(declared, show(A, f"/m/sha256-{A}"), digests=DIGESTS) is None
