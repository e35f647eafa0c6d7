# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An Ollama server in memory: what its API answers, and what it keeps. tests/contract holds it against the real one."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._http import Request, Response

from tests.unit.fakes.faults import Asked, Fake, answer_bytes, answer_json, json_line
from tests.unit.fakes.ollama_create import Creator
from tests.unit.fakes.ollama_memory import Memory
from tests.unit.fakes.ollama_pull import Puller, Said
from tests.unit.fakes.ollama_show import details, shown
from tests.unit.fakes.ollama_store import DIGEST, Manifest, Name, Refused, Store, now, rfc3339
from tests.unit.fakes.registry import FakeRegistry

BLOBS = "/api/blobs/"


class FakeOllama(Fake):
    """``registries`` by host (with port, as in a model's name) are all that it reaches; the same one by default
    stands for registry.ollama.ai and hf.co. ``bound`` to loopback it refuses foreign Host headers.
    """

    def __init__(
        self,
        registries: Mapping[str, FakeRegistry] | None = None,
        *,
        version: str = "0.13.5",
        bound: str = "0.0.0.0",
        noprune: bool = False,
    ) -> None:
        super().__init__()
        shared = FakeRegistry()
        self.registries = dict(registries or {"registry.ollama.ai": shared, "hf.co": shared})
        self.plain: set[str] = set()  # hosts that speak no TLS
        self.version = version
        self.bound = bound
        self.noprune = noprune
        self.store = Store()
        self.memory = Memory(self.store)
        self.partial: dict[str, bytearray] = {}

    @property
    def newer(self) -> bool:
        """Whether it is of the versions that keep a registry's own bytes and list capabilities."""
        return tuple(int(part) for part in self.version.split(".")[:2]) >= (0, 19)

    @property
    def names(self) -> dict[str, str]:
        """What is here: name as listed, digest."""
        return {name.short: m.digest for name, m in self.store.manifests.items()}

    def restart(self) -> None:
        """Nothing is loaded any more; what no model needs is swept away unless that is switched off."""
        self.memory.loaded.clear()
        if not self.noprune:
            self.partial.clear()
            self.store.sweep(list(self.store.blobs))

    def route(self, request: Request, asked: Asked) -> Response:
        if not self._host_allowed(asked.headers["host"]):
            return answer_bytes(request, 403)
        blobs = asked.path.startswith(BLOBS)
        verbs = ROUTES.get(BLOBS if blobs else asked.path, {})
        if not verbs:
            return answer_bytes(request, 404, b"404 page not found", {"Content-Type": "text/plain"})
        if asked.method not in verbs:
            kind = {"Content-Type": "text/plain", "Allow": ", ".join(verbs)}
            return answer_bytes(request, 405, b"405 method not allowed", kind)
        if asked.method in ("POST", "DELETE") and not blobs:
            return self._with_body(verbs[asked.method], request, asked)
        return verbs[asked.method](self, request, asked)

    def _with_body(self, handler: Handler, request: Request, asked: Asked) -> Response:
        if not asked.body:
            return answer_json(request, 400, {"error": "missing request body"})
        try:
            return handler(self, request, json.loads(asked.body))
        except json.JSONDecodeError:
            return answer_json(request, 400, {"error": "unexpected EOF"})
        except Refused as refusal:
            return answer_json(request, refusal.status, {"error": str(refusal)})

    def _host_allowed(self, host: str) -> bool:
        if not self.bound.startswith("127."):
            return True
        name = re.sub(r":\d+$", "", host).lower()
        private = r"(127|10|192\.168|172\.(1[6-9]|2\d|3[01]))\.[\d.]+|0\.0\.0\.0|\[::1\]"
        own = ("", "localhost", os.uname().nodename.lower())
        local = name in own or name.endswith((".localhost", ".local", ".internal"))
        return local or bool(re.fullmatch(private, name))

    def _hello(self, request: Request, _asked: Asked) -> Response:
        return answer_bytes(
            request, 200, b"Ollama is running", {"Content-Type": "text/plain; charset=utf-8"}
        )

    def _version(self, request: Request, _asked: Asked) -> Response:
        return answer_json(request, 200, {"version": self.version})

    def _tags(self, request: Request, _asked: Asked) -> Response:
        by_age = sorted(
            self.store.manifests.items(), key=lambda item: item[1].modified, reverse=True
        )
        return answer_json(request, 200, {"models": [self._listed(n, m) for n, m in by_age]})

    def _listed(self, name: Name, manifest: Manifest) -> dict[str, Any]:
        listed = {
            "name": name.short,
            "model": name.short,
            "modified_at": rfc3339(manifest.modified),
            "size": manifest.size,
            "digest": manifest.digest,
            "details": details(self.store, manifest, listed=True),
        }
        if self.newer:
            listed["capabilities"] = shown(self.store, name, manifest)["capabilities"]
        return listed

    def _show(self, request: Request, body: dict[str, Any]) -> Response:
        text = body.get("model") or body.get("name") or ""
        if not text:
            raise Refused(400, "model is required")
        name = Name.parse(text)
        if name is None:
            raise Refused(400 if self.newer else 500, "invalid model path")
        manifest = self.store.found(name, f"model '{text}' not found")
        answer = shown(self.store, self.store.existing(name), manifest)
        return answer_json(request, 200, {**answer, "modified_at": rfc3339(manifest.modified)})

    def _pull(self, request: Request, body: dict[str, Any]) -> Response:
        name = Name.parse(body.get("model") or body.get("name") or "")
        if name is None:
            raise Refused(400, "invalid model name")
        puller = Puller(self, self.store.existing(name), bool(body.get("insecure")))
        return self._said(request, body, puller.lines())

    def _create(self, request: Request, body: dict[str, Any]) -> Response:
        if any(f.startswith("/") or ".." in f.split("/") for f in body.get("files") or {}):
            raise Refused(400, "file path must be relative")
        name = Name.parse(body.get("model") or body.get("name") or "")
        if name is None:
            raise Refused(400, "invalid model name")
        creator = Creator(self, self.store.existing(name), body)
        return self._said(request, body, creator.lines())

    def _said(self, request: Request, body: dict[str, Any], lines: Iterator[Said]) -> Response:
        """What was said, as a stream or its end alone; an error before the first line is a status."""
        if body.get("stream") is False:
            *_passed, last = lines
            return answer_json(request, last.status, last.data)
        first = next(lines)
        if first.status != 200:
            return answer_json(request, first.status, first.data)

        def stream() -> Iterator[bytes]:
            yield json_line(first.data)
            yield from (json_line(said.data) for said in lines)

        return Response(request, 200, {"Content-Type": "application/x-ndjson"}, stream())

    def _delete(self, request: Request, body: dict[str, Any]) -> Response:
        text = body.get("model") or body.get("name") or ""
        name = Name.parse(text)
        if name is None:
            raise Refused(400, f'name "{text}" is invalid')
        manifest = self.store.found(name, f"model '{text}' not found")
        del self.store.manifests[self.store.existing(name)]
        self.store.sweep([layer["digest"] for layer in manifest.layers])
        return answer_bytes(request, 200)

    def _copy(self, request: Request, body: dict[str, Any]) -> Response:
        names = {}
        for end in ("source", "destination"):
            names[end] = Name.parse(body.get(end, ""))
            if names[end] is None:
                raise Refused(400, f'{end} "{body.get(end, "")}" is invalid')
        found = self.store.found(names["source"], f'model "{body["source"]}" not found')
        target = names["destination"]
        assert target is not None
        self.store.manifests[self.store.existing(target)] = Manifest(found.raw, now())
        return answer_bytes(request, 200)

    def _blob(self, request: Request, asked: Asked) -> Response:
        digest = asked.path.removeprefix(BLOBS)
        if not DIGEST.fullmatch(digest):
            return answer_json(request, 400, {"error": "invalid digest format"})
        if digest.replace("-", ":") in self.store.blobs:
            return answer_bytes(request, 200)
        if asked.method == "HEAD":
            return answer_json(request, 404, {"error": f'blob "{digest}" not found'})
        got = self.store.add(asked.body)
        if got != digest:
            error = f'digest mismatch, expected "{digest}", got "{got}"'
            return answer_json(request, 400, {"error": error})
        return answer_bytes(request, 201)

    def _generate(self, request: Request, body: dict[str, Any]) -> Response:
        return answer_json(request, 200, self.memory.generate(body))

    def _embed(self, request: Request, body: dict[str, Any]) -> Response:
        return answer_json(request, 200, self.memory.embed(body))

    def _ps(self, request: Request, _asked: Asked) -> Response:
        return answer_json(request, 200, {"models": self.memory.running()})


Handler = Callable[[FakeOllama, Request, Any], Response]
ROUTES: dict[str, dict[str, Handler]] = {
    "/": {"GET": FakeOllama._hello, "HEAD": FakeOllama._hello},
    "/api/version": {"GET": FakeOllama._version, "HEAD": FakeOllama._version},
    "/api/tags": {"GET": FakeOllama._tags, "HEAD": FakeOllama._tags},
    "/api/ps": {"GET": FakeOllama._ps},
    "/api/show": {"POST": FakeOllama._show},
    "/api/pull": {"POST": FakeOllama._pull},
    "/api/create": {"POST": FakeOllama._create},
    "/api/copy": {"POST": FakeOllama._copy},
    "/api/delete": {"DELETE": FakeOllama._delete},
    BLOBS: {"HEAD": FakeOllama._blob, "POST": FakeOllama._blob},
    "/api/generate": {"POST": FakeOllama._generate},
    "/api/embed": {"POST": FakeOllama._embed},
}
