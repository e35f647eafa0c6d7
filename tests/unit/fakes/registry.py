# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A registry of models in memory, as registry.ollama.ai speaks: manifests, blobs, and what can go wrong with them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.gpubox.llm.plugins.module_utils._http import Request, Response

from tests.unit.fakes.faults import Asked, Fake, Fault, answer_bytes, answer_json
from tests.unit.fakes.gguf import gguf

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.ollama.image."

PIECE = 16 << 10
Layer = tuple[str, bytes]  # kind (model, template, system, params, license, ...) and content


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def model_config(family: str = "llama", kind: str = "F16", parameters: str = "140K") -> bytes:
    """What a model's configuration blob says."""
    known = {
        "model_format": "gguf",
        "model_family": family,
        "model_families": [family],
        "model_type": parameters,
        "file_type": kind,
    }
    fixed = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
    return json.dumps({**known, **fixed}, separators=(",", ":")).encode()


class FakeRegistry(Fake):
    """Holds models by ``namespace/model:tag``, whatever host name it is reached under.

    ``push`` changes what a tag is. ``announces``: a HEAD tells the digest, as registry.ollama.ai does. ``redirects_to``
    is where blobs are fetched from, another host; Ollama cannot pull from a registry that has none.
    """

    def __init__(
        self, *, announces: bool = True, redirects_to: str = "https://blobs.example"
    ) -> None:
        super().__init__()
        self.announces = announces
        self.redirects_to = redirects_to
        self.manifests: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.sizes: dict[str, int] = {}  # by kind: said instead of the true size
        self._fetched = 0

    def push(self, name: str, *layers: Layer, config: bytes = b"") -> str:
        """Give a tag these layers (without any: a small model); the digest that a server lists it under."""
        parts = layers or (("model", gguf(size=4096)), ("template", b"{{ .Prompt }}"))
        described = [self._blob(LAYER + kind, content, kind) for kind, content in parts]
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._blob(CONFIG, config or model_config(), "config"),
            "layers": described,
        }
        self.manifests[full_name(name)] = json.dumps(manifest, separators=(",", ":")).encode()
        return self.digest(name)

    def digest(self, name: str) -> str:
        """64 hexadecimal digits: of the manifest as it is now."""
        return sha256(self.manifests[full_name(name)])

    def layers(self, name: str) -> list[dict[str, Any]]:
        """What a pull has to fetch, in its order: the configuration last."""
        manifest = json.loads(self.manifests[full_name(name)])
        return [*manifest["layers"], manifest["config"]]

    def fetched(self) -> int:
        """Bytes of blobs that were sent."""
        return self._fetched

    def refuse(self, request: Request, fault: Fault) -> Response:
        return answer_bytes(request, fault.status, fault.text.encode(), fault.headers)

    def route(self, request: Request, asked: Asked) -> Response:
        found = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/([^/]+)", asked.path)
        if asked.method not in ("GET", "HEAD") or not found:
            return answer_bytes(request, 404, b"404 page not found\n")
        name, kind, what = found.groups()
        if kind == "manifests":
            return self._manifest(request, f"{name}:{what}")
        return self._send_blob(request, asked, what)

    def _manifest(self, request: Request, name: str) -> Response:
        content = self.manifests.get(name)
        if content is None:
            error = {"code": "MANIFEST_UNKNOWN", "message": "manifest unknown", "detail": {}}
            return answer_json(request, 404, {"errors": [error]})
        headers = {"Content-Type": MANIFEST}
        if request.method == "HEAD" and self.announces:
            headers["ollama-content-digest"] = sha256(content)
        return answer_bytes(request, 200, content, headers)

    def _send_blob(self, request: Request, asked: Asked, digest: str) -> Response:
        content = self.blobs.get(digest)
        if content is None:
            error = {"code": "BLOB_UNKNOWN", "message": "blob unknown to registry", "detail": {}}
            return answer_json(request, 404, {"errors": [error]})
        elsewhere = urlsplit(self.redirects_to).netloc not in ("", asked.headers["host"])
        if request.method == "GET" and elsewhere:
            return answer_bytes(request, 307, b"", {"Location": self.redirects_to + asked.path})
        status, part = _part(content, asked.headers.get("range", ""))
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(part))}
        if request.method == "HEAD":
            return Response(request, status, headers)
        return Response(request, status, headers, self._sent(part))

    def _sent(self, content: bytes) -> Iterator[bytes]:
        for start in range(0, len(content), PIECE):
            piece = content[start : start + PIECE]
            self._fetched += len(piece)
            yield piece

    def _blob(self, media_type: str, content: bytes, kind: str) -> Mapping[str, Any]:
        digest = f"sha256:{sha256(content)}"
        self.blobs[digest] = content
        size = self.sizes.get(kind, len(content))
        return {"mediaType": media_type, "digest": digest, "size": size}


def full_name(name: str) -> str:
    """``namespace/model:tag`` of a name that may lack the first and the last."""
    spaced = name if "/" in name else f"library/{name}"
    return spaced if ":" in spaced.rpartition("/")[2] else f"{spaced}:latest"


def _part(content: bytes, wanted: str) -> tuple[int, bytes]:
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted)
    if not found:
        return 200, content
    last = int(found[2]) + 1 if found[2] else len(content)
    return 206, content[int(found[1]) : last]
