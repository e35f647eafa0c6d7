# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How an Ollama server makes a model from another one or from files."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

from tests.unit.fakes import gguf
from tests.unit.fakes.ollama_pull import Puller, Said, failed, status
from tests.unit.fakes.ollama_store import (
    DIGEST,
    Manifest,
    Name,
    blob_path,
    config_layer,
    go_json,
    layer,
    manifest_bytes,
    now,
)
from tests.unit.fakes.registry import LAYER

if TYPE_CHECKING:
    from tests.unit.fakes.ollama import FakeOllama

QUANTIZED = {"F32": 0, "F16": 1, "Q8_0": 7, "Q4_K_S": 14, "Q4_K_M": 15, "Q4_K": 15, "BF16": 32}


class _Failed(Exception):
    """What ends it; with a status where the request is at fault."""

    def __init__(self, error: str, code: int = 500) -> None:
        super().__init__(error)
        self.code = code


class Creator:
    """One model being made: layers of what it comes from, then those that the request sets."""

    def __init__(self, server: FakeOllama, name: Name, wanted: dict[str, Any]) -> None:
        self.server = server
        self.store = server.store
        self.name = name
        self.wanted = wanted
        self.layers: list[dict[str, Any]] = []
        self.config: dict[str, Any] = {}
        self.fresh: set[str] = set()  # digests of blobs that were not there before

    def lines(self) -> Iterator[Said]:
        """All of it; ends with ``success`` or an error."""
        old = self.store.manifests.get(self.name)
        try:
            yield from self._base()
            yield from self._adapters()
            yield from self._describe()
            self._set_texts()
            self._set_parameters()
            for entry in self.layers:
                verb = "creating new" if entry["digest"] in self.fresh else "using existing"
                yield status(f"{verb} layer {entry['digest']}")
            yield status("writing manifest")
            config = config_layer(self.store, self.config, self.layers)
            self.store.manifests[self.name] = Manifest(manifest_bytes(config, self.layers), now())
            if old and not self.server.noprune:
                self.store.sweep([entry["digest"] for entry in old.layers])
            yield status("success")
        except _Failed as failure:
            yield failed(str(failure), failure.code)

    def _base(self) -> Iterator[Said]:
        if self.wanted.get("from"):
            yield from self._from_model()
        elif self.wanted.get("files") is not None:
            yield from self._from_files(self.wanted["files"])
        else:
            raise _Failed("neither 'from' or 'files' was specified", 400)

    def _from_model(self) -> Iterator[Said]:
        name = Name.parse(self.wanted["from"])
        if name is None:
            raise _Failed("invalid model name", 400)
        if name not in self.store.manifests:
            for said in Puller(self.server, name, insecure=False).lines():
                if "error" in said.data:
                    raise _Failed(said.data["error"])
                yield said
        for entry in self.store.manifests[name].data["layers"]:
            self.layers.append({**entry, "from": name.short})

    def _from_files(self, files: dict[str, str]) -> Iterator[Said]:
        if not files or not all(self._is_gguf(name, digest) for name, digest in files.items()):
            raise _Failed("unknown type", 400)
        for digest in files.values():
            yield status("parsing GGUF")
            if not DIGEST.fullmatch(digest):
                raise _Failed("invalid digest format")
            path = blob_path(digest)
            content = self.store.blobs.get(digest)
            if content is None:
                raise _Failed(f"open {path}: no such file or directory")
            try:
                kind = gguf.read(content).keys.get("general.type")
            except ValueError as error:
                raise _Failed(str(error)) from None
            part = "adapter" if kind == "adapter" else "model"
            self.layers.append(layer(LAYER + part, digest, len(content), path))

    def _is_gguf(self, name: str, digest: str) -> bool:
        return name.endswith(".gguf") or self.store.blobs.get(digest, b"")[:4] == b"GGUF"

    def _adapters(self) -> Iterator[Said]:
        adapters = self.wanted.get("adapters")
        if adapters is None:
            return
        if len(adapters) > 1:
            raise _Failed("only one adapter is currently supported", 400)
        yield from self._from_files(adapters)

    def _describe(self) -> Iterator[Said]:
        """What the configuration says of the model; a quantization comes first."""
        for place, entry in enumerate(self.layers):
            if entry["mediaType"] not in (LAYER + "model", LAYER + "adapter"):
                continue
            if self.wanted.get("quantize") and entry["mediaType"] == LAYER + "model":
                self.layers[place] = yield from self._quantize(entry)
            head = gguf.read(self.store.blobs[self.layers[place]["digest"]])
            self.config.setdefault("model_format", "gguf")
            self.config.setdefault("model_family", head.architecture)
            self.config.setdefault("model_families", []).append(head.architecture)
            self.config.setdefault("model_type", _count(head.parameters))
            self.config.setdefault("file_type", head.file_type)

    def _quantize(self, entry: dict[str, Any]) -> Generator[Said, None, dict[str, Any]]:
        wanted = self.wanted["quantize"].upper()
        if wanted not in QUANTIZED:
            known = "F32, F16, Q4_K_S, Q4_K_M, Q8_0"
            raise _Failed(f"unsupported quantization type {wanted} - supported types are {known}")
        content = self.store.blobs[entry["digest"]]
        now_is = gguf.read(content).file_type
        if now_is != "F16":
            raise _Failed("quantization is only supported for F16 and F32 models")
        if wanted == now_is:
            return entry
        size = entry["size"]
        doing = {"status": f"quantizing {now_is} model to {wanted}", "digest": "0" * 19}
        yield Said({**doing, "total": size, "completed": size // 2})
        yield Said({**doing, "total": size, "completed": size})
        yield status("verifying conversion")
        return self._new("model", gguf.quantized(content, QUANTIZED[wanted]))

    def _set_texts(self) -> None:
        template = self.wanted.get("template", "")
        if template.count("{{") != template.count("}}"):
            raise _Failed("template error: template: :1: unclosed action", 400)
        given = self.wanted.get("license") or []
        licenses = [given] if isinstance(given, str) else given
        for kind, text in (("template", template), ("system", self.wanted.get("system"))):
            if text:
                self._replace(kind, text.encode())
        for text in licenses:
            self.layers.append(self._new("license", text.encode()))

    def _set_parameters(self) -> None:
        """Its own go before those of what it comes from."""
        kind = LAYER + "params"
        inherited = [x["digest"] for x in self.layers if x["mediaType"] == kind]
        parameters: dict[str, Any] = {}
        for content in (self.store.blobs[digest] for digest in inherited):
            parameters.update(json.loads(content))
        parameters.update(self.wanted.get("parameters") or {})
        if parameters:
            self._replace("params", go_json(dict(sorted(parameters.items()))))
        if self.wanted.get("messages"):
            self._replace("messages", go_json(self.wanted["messages"]))

    def _replace(self, kind: str, content: bytes) -> None:
        gone = [x for x in self.layers if x["mediaType"] == LAYER + kind]
        self.layers = [x for x in self.layers if x not in gone]
        self.store.sweep([entry["digest"] for entry in gone])
        self.layers.append(self._new(kind, content))

    def _new(self, kind: str, content: bytes) -> dict[str, Any]:
        before = set(self.store.blobs)
        digest = self.store.add(content)
        self.fresh |= {digest} - before
        return layer(LAYER + kind, digest, len(content))


def _count(parameters: int) -> str:
    for unit, letter in ((10**9, "B"), (10**6, "M")):
        if parameters >= unit:
            number = parameters / unit
            digits = 0 if number.is_integer() else {"B": 1, "M": 2}[letter]
            return f"{number:.{digits}f}{letter}"
    return f"{parameters / 1000:.0f}K" if parameters >= 1000 else str(parameters)
