# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How an Ollama server pulls a model: what it says, line by line, and what it has after each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ansible_collections.gpubox.llm.plugins.module_utils._http import Cut, Request, Response

from tests.unit.fakes.ollama_store import Manifest, Name, now
from tests.unit.fakes.registry import MANIFEST, sha256

if TYPE_CHECKING:
    from tests.unit.fakes.ollama import FakeOllama

PARTS = 4
ATTEMPTS = 6


@dataclass(frozen=True)
class Said:
    """One line; the status counts where it is the first one or the only one."""

    data: dict[str, Any]
    status: int = 200


def status(text: str) -> Said:
    return Said({"status": text})


def failed(text: str, code: int = 500) -> Said:
    return Said({"error": text}, code)


class _Failed(Exception):
    """What ends a pull."""


class Puller:
    """One pull. It keeps what it fetched of a blob, for the next one to go on with."""

    def __init__(self, server: FakeOllama, name: Name, insecure: bool) -> None:
        self.server = server
        self.store = server.store
        self.name = name
        self.insecure = insecure

    def lines(self) -> Iterator[Said]:
        """All of it; ends with ``success`` or an error."""
        old = self.store.manifests.get(self.name)
        try:
            yield status("pulling manifest")
            raw = self._manifest()
            layers = Manifest(raw, now()).layers
            fresh = [layer["digest"] for layer in layers if layer["digest"] not in self.store.blobs]
            for layer in layers:
                yield from self._layer(layer["digest"], layer["size"])
            yield status("verifying sha256 digest")
            self._verify(fresh)
            yield status("writing manifest")
            self.store.manifests[self.name] = Manifest(raw, now())
            kept = {layer["digest"] for layer in layers}
            unused = [x["digest"] for x in old.layers if x["digest"] not in kept] if old else []
            if unused and not self.server.noprune:
                yield status("removing unused layers")
                self.store.sweep(unused)
            yield status("success")
        except _Failed as failure:
            yield failed(str(failure))

    def _manifest(self) -> bytes:
        path = f"manifests/{self.name.tag}"
        try:
            answer = self._ask("GET", path, {"Accept": MANIFEST})
        except _Failed as failure:
            raise _Failed(f"pull model manifest: {failure}") from None
        if self.server.newer:
            return answer.body
        return json.dumps(answer.json(), separators=(",", ":"), ensure_ascii=False).encode()

    def _layer(self, digest: str, total: int) -> Iterator[Said]:
        said = {"status": f"pulling {digest[7:19]}", "digest": digest, "total": total}
        if digest in self.store.blobs:
            size = len(self.store.blobs[digest])
            yield Said({**said, "total": size, "completed": size})
            return
        path = f"blobs/{digest}"
        length = int(self._ask("HEAD", path).headers["content-length"])
        place = self._direct(path)
        have = self.server.partial[digest] = bytearray(self.server.partial.get(digest, b""))
        yield Said({**said, **({"completed": len(have)} if have else {})})
        step = max(1, -(-length // PARTS))
        while len(have) < length:
            self._fetch(place, have, min(length, len(have) + step))
            yield Said({**said, "completed": len(have)})
        self.server.partial.pop(digest, None)
        self.store.blobs[digest] = bytes(have)

    def _verify(self, digests: list[str]) -> None:
        for digest in digests:
            got = f"sha256:{sha256(self.store.blobs[digest])}"
            if got != digest:
                del self.store.blobs[digest]
                words = "digest mismatch, file must be downloaded again"
                raise _Failed(f"{words}: want {digest}, got {got}")

    def _fetch(self, place: str, have: bytearray, end: int) -> None:
        """Bytes up to here; what came before the connection broke is kept."""
        for _unused in range(ATTEMPTS):
            ranged = {"Range": f"bytes={len(have)}-{end - 1}"}
            try:
                for chunk in self._send(Request("GET", place, ranged)).chunks():
                    have += chunk
                return
            except Cut:
                continue
        raise _Failed("max retries exceeded: unexpected EOF")

    def _direct(self, path: str) -> str:
        """Where the registry sends for a blob: it has to be another host."""
        answer = self._ask("GET", path)
        if "location" not in answer.headers:
            raise _Failed("http: no Location header in response")
        return answer.headers["location"]

    def _ask(self, method: str, path: str, headers: dict[str, str] | None = None) -> Response:
        plain = self.name.host in self.server.plain
        scheme = "http" if self.insecure else "https"
        base = f"{scheme}://{self.name.host}/v2/{self.name.namespace}/{self.name.model}"
        if plain and not self.insecure:
            words = "http: server gave HTTP response to HTTPS client"
            raise _Failed(f'Get "{base}/{path}": {words}')
        if self.name.host not in self.server.registries:
            host = self.name.host.partition(":")[0]
            raise _Failed(f'Get "{base}/{path}": dial tcp: lookup {host}: no such host')
        answer = self._send(Request(method, f"{base}/{path}", headers or {}))
        if answer.status == 404:
            raise _Failed("file does not exist")
        if answer.status >= 400:
            raise _Failed(f"{answer.status}: {answer.body.decode()}")
        return answer

    def _send(self, request: Request) -> Response:
        """To the registry that the model's name says, whatever host it redirected to."""
        registry = self.server.registries[self.name.host]
        host = urlsplit(request.url).netloc
        return registry(Request(request.method, request.url, {**request.headers, "Host": host}))
