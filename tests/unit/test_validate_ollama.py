# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ollama: what the rules refuse, each with its path, reason and cure, and what they let through."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.validate_site import assert_only, found, site

TINY = {"name": "local", "provider": "ollama", "model": "llama3.2:3b"}
PATH = "llm_models[0]"
SUM = "sha256:" + "a" * 64


def with_model(**changes: Any) -> dict[str, Any]:
    return site(llm_models=[{**TINY, **changes}])


def with_setting(**changes: Any) -> dict[str, Any]:
    return site(llm_models=[TINY], **changes)


# fmt: off
CASES: list[tuple[dict[str, Any], str, str, str]] = [
    # names
    (with_model(model="https://x/y"), f"{PATH}.model", "scheme", "host alone"),
    (with_model(model="../../etc/passwd"), f"{PATH}.model", "looks like a path", "namespace"),
    (with_model(model="a@sha256:1"), f"{PATH}.model", "digest", "option digest"),
    (with_model(model="a b"), f"{PATH}.model", "its model is 'a b'", "letters, digits"),
    (site(llm_models=[{"name": "a+b", "provider": "ollama"}], llm_default_model="a+b"),
     f"{PATH}.name", "its model is", "letters, digits"),
    (with_model(model="evil.example/a/b"), f"{PATH}.model", "evil.example", "ollama_registries"),
    (with_setting(ollama_models=[{"name": "x:"}]), "ollama_models[0].name", "empty", "namespace"),
    (with_setting(ollama_models=[{}]), "ollama_models[0].name", "required", "Set it"),
    (with_setting(ollama_models=[{"name": "x", "stat": "absent"}]), "ollama_models[0].stat", "no such", "state"),
    # twice
    (with_setting(ollama_models=[{"name": "library/LLAMA3.2:3b", "state": "absent"}]),
     "ollama_models[0].name", "names the same model", "say the same"),
    # made
    (with_model(ollama={"from": "a", "file": "/b.gguf"}), f"{PATH}.ollama.file", "from is set", "one of the two"),
    (with_model(ollama={"system": "Be brief."}), f"{PATH}.ollama.system", "of what", "from or file"),
    (with_model(digest="a" * 64, ollama={"from": "b"}), f"{PATH}.model", "known only afterwards", "named in from"),
    (with_model(ollama={"file": "b.gguf"}), f"{PATH}.ollama.file", "absolute path", "from / on"),
    (with_model(ollama={"from": "b", "adapters": ["x"]}), f"{PATH}.ollama.adapters[0]", "absolute path", "from / on"),
    (with_model(ollama={"form": "b"}), f"{PATH}.ollama.form", "no such", "from"),
    # placement
    (with_setting(ollama_placement="external"), "ollama_url", "is external", "server's address"),
    (with_setting(ollama_url="http://gpu2:11434"), "ollama_url", "Nothing reads it", "external"),
    (with_setting(ollama_placement="external", ollama_url="http://127.0.0.1:11434"),
     "ollama_url", "container itself", "native"),
    (with_setting(ollama_placement="external", ollama_url="gpu2:11434"), "ollama_url", "web address", "http"),
    (with_setting(ollama_placement="docker"), "ollama_placement", "none of", "one of them"),
    (with_setting(ollama_placement="native"), "ollama_archive_checksum", "not set", "sha256sum.txt"),
    (with_setting(ollama_placement="native", ollama_archive_checksum="abc"),
     "ollama_archive_checksum", "not a checksum", "sha256sum.txt"),
    # versions
    (with_setting(ollama_version="0.17.0"), "ollama_version", "CVE-2026-103663", "allow_insecure"),
    (with_setting(ollama_version="latest"), "ollama_version", "moves", "fixed version"),
    (with_setting(ollama_image="ollama/ollama:0.34.5"), "ollama_image", "CVE-2026-103663", "0.35.0 or newer"),
    # the rest
    (with_setting(ollama_gpu="amd"), "ollama_gpu_groups", "amd", "getent"),
    (with_setting(ollama_kv_cache_type="q8_0", ollama_flash_attention="off"),
     "ollama_kv_cache_type", "flash attention", "remove one"),
    (with_setting(ollama_registry_mirror="http://models.lan:5000"), "ollama_registry_mirror", "Without TLS", "https://"),
    (with_setting(ollama_registry_mirror="https://models.lan/ollama"), "ollama_registry_mirror", "at the root", "port"),
    (with_setting(ollama_memory="24"), "ollama_memory", "size", "2g"),
]
# fmt: on


@pytest.mark.parametrize(("variables", "path", "reason", "cure"), CASES)
def test_refused(variables: dict[str, Any], path: str, reason: str, cure: str) -> None:
    assert_only(variables, path, reason, cure)


SOUND: dict[str, dict[str, Any]] = {
    "a model": with_model(),
    "a model from Hugging Face": with_model(model="hf.co/me/tiny-gguf:Q4_K_M"),
    "a model at a registry of one's own": with_model(model="models.lan/a/b")
    | {"ollama_registries": ["models.lan"]},
    "a model at the mirror": with_model(model="models.lan:5000/a/b")
    | {"ollama_registry_mirror": "https://models.lan:5000"},
    "a mirror on this machine": with_setting(ollama_registry_mirror="http://127.0.0.1:5000"),
    "a model of a file, whatever its name says": with_model(
        model="mine.example/a/b", ollama={"file": "/srv/b.gguf"}
    ),
    "the same model under two names": site(
        llm_models=[TINY, {**TINY, "name": "other"}], llm_default_model="local"
    ),
    "another Ollama's name for it": with_model(
        model="anything@all", base_url="http://gpu2:11434", params={"a": 1}
    ),
    "a native server": with_setting(ollama_placement="native", ollama_archive_checksum=SUM),
    "an external server": with_setting(
        ollama_placement="external", ollama_url="http://192.168.1.20:11434"
    ),
    "an old version on demand": with_setting(
        ollama_version="0.13.5",
        ollama_image="ollama/ollama:0.13.5",
        ollama_allow_insecure_version=True,
    ),
}


@pytest.mark.parametrize("case", SOUND)
def test_let_through(case: str) -> None:
    assert found(SOUND[case]) == []
