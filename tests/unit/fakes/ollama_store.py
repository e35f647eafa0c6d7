# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an Ollama server keeps on disk: manifests under names, blobs under digests."""

from __future__ import annotations

import json
import re
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.unit.fakes import gguf
from tests.unit.fakes.registry import CONFIG, LAYER, MANIFEST, sha256

DEFAULTS = ("registry.ollama.ai", "library", "", "latest")
# Host, namespace, model, tag.
LENGTHS = (350, 80, 80, 80)
CHARACTERS = (r"[\w.:-]", r"[\w-]", r"[\w.-]", r"[\w.-]")
DIGEST = re.compile(r"sha256[:-][0-9a-fA-F]{64}")


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status


@dataclass(frozen=True)
class Name:
    host: str
    namespace: str
    model: str
    tag: str

    @classmethod
    def parse(cls, text: str) -> Name | None:
        """As the server reads it; None where it calls it invalid."""
        place, slash, last = text.rpartition("/")
        model, colon, tag = last.partition(":") if last.count(":") == 1 else (last, "", "")
        host, cut, namespace = place.rpartition("/")
        if (slash and not place) or (cut and not host) or (colon and not tag):
            return None
        _scheme, _cut, plain_host = host.rpartition("://")
        parts = (plain_host, namespace, model, tag)
        whole = tuple(part or default for part, default in zip(parts, DEFAULTS, strict=True))
        rules = zip(whole, LENGTHS, CHARACTERS, strict=True)
        if all(_valid(part, length, characters) for part, length, characters in rules):
            return cls(*whole)
        return None

    @property
    def short(self) -> str:
        """As the server lists it."""
        if self.host.lower() != DEFAULTS[0]:
            return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"
        space = "" if self.namespace.lower() == DEFAULTS[1] else f"{self.namespace}/"
        return f"{space}{self.model}:{self.tag}"


def _valid(part: str, length: int, characters: str) -> bool:
    return bool(re.fullmatch(rf"(?a:\w{characters}*)", part)) and len(part) <= length


@dataclass(frozen=True)
class Manifest:
    raw: bytes
    modified: datetime

    @property
    def digest(self) -> str:
        return sha256(self.raw)

    @property
    def data(self) -> dict[str, Any]:
        return json.loads(self.raw)

    @property
    def layers(self) -> list[dict[str, Any]]:
        """All of them, the configuration last."""
        return [*self.data["layers"], self.data["config"]]

    @property
    def size(self) -> int:
        return sum(layer["size"] for layer in self.layers)


class Store:
    """Manifests and blobs, with the rules by which the server finds and removes them."""

    def __init__(self) -> None:
        self.manifests: dict[Name, Manifest] = {}
        self.blobs: dict[str, bytes] = {}

    def existing(self, name: Name) -> Name:
        """The same name, each part spelled as any model here already spells it."""
        parts = list(astuple(name))
        for known in list(self.manifests):
            for place, part in enumerate(astuple(known)):
                if part.lower() == parts[place].lower():
                    parts[place] = part
        return Name(*parts)

    def found(self, name: Name | None, otherwise: str, status: int = 404) -> Manifest:
        manifest = name and self.manifests.get(self.existing(name))
        if not manifest:
            raise Refused(status, otherwise)
        return manifest

    def add(self, content: bytes) -> str:
        digest = f"sha256:{sha256(content)}"
        self.blobs[digest] = content
        return digest

    def sweep(self, digests: list[str]) -> None:
        """Remove those of these blobs that no manifest names."""
        named = {layer["digest"] for m in list(self.manifests.values()) for layer in m.layers}
        for digest in digests:
            if digest not in named:
                self.blobs.pop(digest, None)

    def contents(self, manifest: Manifest, kind: str) -> list[bytes]:
        """The blobs of a kind of layer (``model``, ``template``, ``system``, ...)."""
        return [
            self.blobs[layer["digest"]]
            for layer in manifest.data["layers"]
            if layer["mediaType"] == LAYER + kind
        ]

    def config(self, manifest: Manifest) -> dict[str, Any]:
        return json.loads(self.blobs[manifest.data["config"]["digest"]])

    def head(self, manifest: Manifest) -> gguf.Head:
        return gguf.read(self.contents(manifest, "model")[0])

    def dump(self, directory: Path) -> None:
        """Write it all as a server's models directory."""
        for digest, content in self.blobs.items():
            _write(directory / "blobs" / digest.replace(":", "-"), content)
        for name, manifest in self.manifests.items():
            _write(directory.joinpath("manifests", *astuple(name)), manifest.raw)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def blob_path(digest: str) -> str:
    """Where the server says that a blob lies."""
    return "/models/blobs/" + digest.replace(":", "-")


def manifest_bytes(config: dict[str, Any], layers: list[dict[str, Any]]) -> bytes:
    """A manifest as the server writes the ones that it makes."""
    whole = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
    return go_json(whole)


def layer(media_type: str, digest: str, size: int, source: str = "") -> dict[str, Any]:
    described = {"mediaType": media_type, "digest": digest, "size": size}
    return {**described, "from": source} if source else described


def config_layer(store: Store, config: dict[str, Any], layers: list[dict[str, Any]]) -> Any:
    digests = [entry["digest"] for entry in layers]
    fixed = {"architecture": "amd64", "os": "linux"}
    content = go_json({**config, **fixed, "rootfs": {"type": "layers", "diff_ids": digests}})
    return layer(CONFIG, store.add(content), len(content))


def go_json(data: Any) -> bytes:
    """JSON as Go's encoder writes it."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for character in "&<>":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode() + b"\n"


def now() -> datetime:
    return datetime.now(UTC)


def rfc3339(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")
