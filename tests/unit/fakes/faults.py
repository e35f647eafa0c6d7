# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a fake does beside its API: it records what it is asked, and does wrong what no real server does on demand."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.gpubox.llm.plugins.module_utils._http import (
    Cut,
    Request,
    Response,
    Stalled,
)

# Words of real servers.
BUSY = "server busy, please try again.  maximum pending requests exceeded"
DISK_FULL = "write /models/blobs/sha256-0-partial: no space left on device"
TOO_OLD = (
    "\n\nThe model you are attempting to pull requires a newer version of Ollama.\n\n"
    "Please download the latest version at:\n\n\thttps://ollama.com/download\n\n"
)


@dataclass(frozen=True)
class Asked:
    """One request as a fake has seen it."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str]  # names in lower case

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Fault:
    """The next ``times`` requests whose path begins so, and whose body holds ``body``, go wrong.

    With a ``status`` that is the answer, ``text`` its words. Otherwise the true answer goes on for ``lines`` lines and
    ``size`` bytes, whichever ends first. Then comes what ``then`` says: ``error`` (an object with the text, as Ollama
    says it in a stream), ``end`` (nothing, as if all were said), ``cut`` (the connection breaks) or ``stall`` (it
    stays, and no byte comes). What the true answer would have done after that point is not done.
    """

    path: str
    method: str = ""
    body: str = ""
    times: int = 1
    status: int = 0
    text: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    then: str = "error"
    lines: int = 10**9
    size: int = 10**15

    def meets(self, asked: Asked) -> bool:
        return (
            self.times > 0
            and asked.path.startswith(self.path)
            and self.method in ("", asked.method)
            and self.body.encode() in asked.body
        )

    def spoil(self, request: Request, begun: Response) -> Response:
        # A length that was promised is not kept; without one, an early end would be a good end.
        return Response(request, begun.status, begun.headers, self._wrong(begun), begun.close)

    def _wrong(self, begun: Response) -> Iterator[bytes]:
        lines, size = self.lines, self.size
        for chunk in begun.chunks():
            if not lines or size < len(chunk):
                yield chunk[: size if lines else 0]
                break
            lines, size = lines - 1, size - len(chunk)
            yield chunk
        if self.then == "error":
            yield json_line({"error": self.text})
        elif self.then == "cut":
            raise Cut(begun.request, "the connection ended in the middle of the answer")
        elif self.then == "stall":
            raise Stalled(begun.request, "no byte came")


class Fake:
    """A server in memory: called with a request it answers. What a subclass routes is its API."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        # Called before each answer: what happens meanwhile on a server that others use, too.
        self.meanwhile: Callable[[Asked], None] = lambda _asked: None

    def __call__(self, request: Request) -> Response:
        asked = _asked(request)
        self.asked.append(asked)
        self.meanwhile(asked)
        for fault in self.faults:
            if fault.meets(asked):
                fault.times -= 1
                if fault.status:
                    return self.refuse(request, fault)
                return fault.spoil(request, self.route(request, asked))
        return self.route(request, asked)

    def refuse(self, request: Request, fault: Fault) -> Response:
        return answer_json(request, fault.status, {"error": fault.text}, fault.headers)

    def route(self, request: Request, asked: Asked) -> Response:
        raise NotImplementedError

    def count(self, method: str = "", path: str = "") -> int:
        """How many requests there were whose path begins so."""
        return sum(a.method.startswith(method) and a.path.startswith(path) for a in self.asked)

    def counts(self) -> Counter[str]:
        """How many requests there were, by method and path."""
        return Counter(f"{a.method} {a.path}" for a in self.asked)


def answer_json(
    request: Request, status: int, data: Any, headers: Mapping[str, str] | None = None
) -> Response:
    body = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    kind = {"Content-Type": "application/json; charset=utf-8", "Content-Length": str(len(body))}
    sent = () if request.method == "HEAD" else (body,)
    return Response(request, status, {**kind, **(headers or {})}, sent)


def answer_bytes(
    request: Request, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Response:
    length = {"Content-Length": str(len(body))}
    sent = () if request.method == "HEAD" else (body,)
    return Response(request, status, {**length, **(headers or {})}, sent)


def json_line(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _asked(request: Request) -> Asked:
    body = request.body or b""
    url = urlsplit(request.url)
    headers = {name.lower(): value for name, value in request.headers.items()}
    headers.setdefault("host", url.netloc)
    return Asked(
        request.method, url.path, body if isinstance(body, bytes) else body.read(), headers
    )
