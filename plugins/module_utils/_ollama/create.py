# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a created model is made of, and whether one is as declared: pure. Private to this collection.

A created model has no registry to compare its digest with, so what ``/api/show`` says of it is compared with its
declaration: the options of a model in the list. Those that are None are not compared. What the model is created
``from`` gives it whatever the declaration does not, so the same answer about that one is needed to tell both apart.
"""

from __future__ import annotations

import ast
import difflib
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._ollama.names import Name, OllamaError

__all__ = ["is_created", "parameters", "payload", "wanted"]

# The parameters of Ollama, current and former, by what their values are.
KINDS: dict[str, str] = {
    **dict.fromkeys(("num_keep", "seed", "num_predict", "top_k", "repeat_last_n"), "integer"),
    **dict.fromkeys(("num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread"), "integer"),
    **dict.fromkeys(("draft_num_predict", "mirostat", "num_gqa"), "integer"),
    **dict.fromkeys(("top_p", "min_p", "typical_p", "temperature", "repeat_penalty"), "number"),
    **dict.fromkeys(("presence_penalty", "frequency_penalty", "tfs_z"), "number"),
    **dict.fromkeys(("mirostat_tau", "mirostat_eta"), "number"),
    **dict.fromkeys(("use_mmap", "use_mlock", "numa", "low_vram", "f16_kv"), "bool"),
    **dict.fromkeys(("penalize_newline", "vocab_only", "logits_all"), "bool"),
    "stop": "texts",
}
TRUTHS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
SOURCES = ("from", "file", "system", "template", "parameters", "adapters", "quantize")
_BLOB = r"sha256[-:]([0-9a-f]{64})"


def is_created(model: Mapping[str, Any]) -> bool:
    """Whether a model of the list is created rather than pulled."""
    return any(model.get(key) is not None for key in SOURCES)


def parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as Ollama wants them; numbers and truths may come as text, a single stop word without a list."""
    return {key: _typed(key, value) for key, value in given.items()}


def payload(model: Mapping[str, Any], digests: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What is sent to create a model. ``digests``: SHA-256, 64 digits, of each of its files by path."""
    digests = digests or {}
    adapters = enumerate(model.get("adapters") or [], 1)
    body = {
        "model": Name.of(model["name"]).short,
        "from": Name.of(model["from"]).short if model.get("from") else None,
        "files": {"model.gguf": _prefixed(digests[model["file"]])} if model.get("file") else None,
        "adapters": {f"adapter-{n}.gguf": _prefixed(digests[path]) for n, path in adapters},
        "system": model.get("system"),
        "template": model.get("template"),
        "parameters": parameters(model.get("parameters") or {}),
        "quantize": model.get("quantize"),
    }
    return {key: value for key, value in body.items() if value}


def wanted(
    model: Mapping[str, Any],
    show: Mapping[str, Any] | None,
    *,
    base: Mapping[str, Any] | None = None,
    digests: Mapping[str, str] | None = None,
) -> dict[str, Any] | None:
    """What of a created model is not as declared, by option; None if nothing is.

    ``show`` is the server's answer about the model (None: there is no such model), ``base`` the one about the model
    that it is created from, ``digests`` the SHA-256, 64 digits, of its files by path.
    What is not given is not compared.
    """
    declared = {key: model[key] for key in SOURCES if model.get(key) is not None}
    if show is None:
        return declared
    is_as = {
        "from": lambda: _same_base(model, show, base),
        "file": lambda: _same_file(model, show, digests or {}),
        "system": lambda: show.get("system", "") == (model["system"] or _of(base, "system")),
        "template": lambda: _same_template(model["template"], show, base),
        "parameters": lambda: _same_parameters(model["parameters"], show, base),
        "adapters": lambda: _same_adapters(model["adapters"], show, base, digests or {}),
        "quantize": lambda: (
            _file_type(model["quantize"]) == _file_type(_detail(show, "quantization_level"))
        ),
    }
    return {key: value for key, value in declared.items() if not is_as[key]()} or None


def _same_base(
    model: Mapping[str, Any], show: Mapping[str, Any], base: Mapping[str, Any] | None
) -> bool:
    """The same name and the same weights. A quantized model has weights of its own, and names no parent."""
    parent = _detail(show, "parent_model")
    same_weights = base is None or _blobs(show, "FROM") == _blobs(base, "FROM")
    if parent:
        return same_weights and Name.of(parent) == Name.of(model["from"])
    return bool(model.get("quantize")) or (base is not None and same_weights)


def _same_file(
    model: Mapping[str, Any], show: Mapping[str, Any], digests: Mapping[str, str]
) -> bool:
    """A model names the file that it was made from; not so a quantized one, whose weights are other ones."""
    digest, made_from = digests.get(model["file"]), re.findall(_BLOB, _detail(show, "parent_model"))
    if digest is None or (model.get("quantize") and not made_from):
        return True
    return digest in (*made_from, *_blobs(show, "FROM"))


def _same_template(template: str, show: Mapping[str, Any], base: Mapping[str, Any] | None) -> bool:
    """Empty is what the model comes with; of a file that is not known, since Ollama chooses it."""
    if not template and base is None:
        return True
    return show.get("template", "") == (template or _of(base, "template"))


def _same_parameters(
    given: Mapping[str, Any], show: Mapping[str, Any], base: Mapping[str, Any] | None
) -> bool:
    """All of them and no others; a file may bring others with it, which Ollama chooses."""
    have, want = _shown(show), {key: _listed(value) for key, value in parameters(given).items()}
    if base is None:
        return all(have.get(key, []) == value for key, value in want.items())
    return have == {key: value for key, value in {**_shown(base), **want}.items() if value}


def _same_adapters(
    paths: Iterable[str],
    show: Mapping[str, Any],
    base: Mapping[str, Any] | None,
    digests: Mapping[str, str],
) -> bool:
    want = [digests.get(path, "") for path in paths]
    if "" in want:
        return True
    return _blobs(show, "ADAPTER") == sorted([*want, *(_blobs(base, "ADAPTER") if base else [])])


# -- what the server says --------------------------------------------------------------------------------------


def _of(show: Mapping[str, Any] | None, key: str) -> str:
    return str((show or {}).get(key) or "")


def _detail(show: Mapping[str, Any], key: str) -> str:
    return _of(show.get("details"), key)


def _blobs(show: Mapping[str, Any], command: str) -> list[str]:
    """The digests of the files that a Modelfile names."""
    found = re.findall(rf"^{command} .*{_BLOB}\"?\s*$", _of(show, "modelfile"), re.MULTILINE)
    return sorted(found)


def _shown(show: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The parameters of an answer: a text of one ``name value`` a line, where lists have a line an element."""
    found: dict[str, list[Any]] = {}
    for line in _of(show, "parameters").splitlines():
        key, _unused, text = line.partition(" ")
        found.setdefault(key, []).extend(_listed(_literal(text.strip())))
    return found


def _literal(text: str) -> Any:
    """A value as Go writes it: quoted text with Go's escapes, which Python shares, or a number, or true or false."""
    if text in ("true", "false"):
        return text == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _listed(value: Any) -> list[Any]:
    """A list of what can be compared: one and true are not the same."""
    values = value if isinstance(value, list) else [value]
    return [str(item).lower() if isinstance(item, bool) else item for item in values]


# -- what the declaration says ---------------------------------------------------------------------------------


def _typed(key: str, value: Any) -> Any:
    kind = KINDS.get(key)
    if kind is None:
        near = difflib.get_close_matches(key, KINDS, 1)
        meant = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(sorted(KINDS))}."
        raise OllamaError(f"parameters: Ollama has no parameter {key!r}. {meant}")
    if kind == "texts":
        return [str(item) for item in (value if isinstance(value, list) else [value])]
    typed = TRUTHS.get(str(value).lower()) if kind == "bool" else _number(value)
    if typed is None or (kind == "integer" and typed != int(typed)):
        raise OllamaError(f"parameters: {key} is {value!r}, but it has to be {ARTICLES[kind]}.")
    return int(typed) if kind == "integer" else typed


ARTICLES = {"integer": "a whole number", "number": "a number", "bool": "true or false"}


def _number(value: Any) -> float | int | None:
    if isinstance(value, bool):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    if not math.isfinite(found):
        return None
    return int(found) if found == int(found) else found


def _file_type(text: str) -> str:
    """How Ollama spells a quantization: Q4_K is short for Q4_K_M."""
    return {"Q4_K": "Q4_K_M"}.get(text.upper(), text.upper())


def _prefixed(digest: str) -> str:
    return f"sha256:{digest}"
