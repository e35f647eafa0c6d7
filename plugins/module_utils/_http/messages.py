# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests, answers and what can go wrong between them. Private to this collection."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, BinaryIO, Callable

__all__ = [
    "ConnectError",
    "Cut",
    "HttpError",
    "NotFound",
    "ProtocolError",
    "RateLimited",
    "Request",
    "Response",
    "Stalled",
    "StatusError",
    "Transport",
    "Unauthorized",
    "status_error",
]

# Answers that say: not now.
PASSING = (429, 502, 503, 504)
# What is read into memory as a whole may not be longer than this.
LONGEST_BYTES = 64 << 20


@dataclass(frozen=True)
class Request:
    """One question. A body that is a file is sent piece by piece, never held in memory."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | BinaryIO | None = None
    stall_seconds: float = 0  # how long no byte may come; 0: as the transport has it

    @property
    def shown(self) -> str:
        """Method and URL without what may be secret in it: user, password, query."""
        place, _unused, _rest = self.url.partition("?")
        return f"{self.method} {re.sub('//[^/]*@', '//', place)}"


class Response:
    """One answer. Its bytes come when they are asked for: ``body``, ``json()`` or ``lines()``, one of them."""

    def __init__(
        self,
        request: Request,
        status: int,
        headers: Mapping[str, str] | None = None,
        chunks: Iterable[bytes] = (),
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.request = request
        self.status = status
        self.headers = {name.lower(): value for name, value in (headers or {}).items()}
        self.close = close
        self._chunks = chunks
        self._body: bytes | None = None

    def __enter__(self) -> Response:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def body(self) -> bytes:
        """All of it; the connection is free afterwards."""
        if self._body is None:
            have = bytearray()
            with self:
                for chunk in self._chunks:
                    have += self._bounded(chunk, have)
            self._body = bytes(have)
        return self._body

    def json(self) -> Any:
        """The body's data."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise ProtocolError(self.request, f"no JSON in the answer ({self.status})") from None

    def lines(self) -> Generator[bytes, None, None]:
        """Each line as it comes, without its end; the last one with none has no more to come."""
        rest = b""
        with self:
            for chunk in self._chunks:
                *whole, rest = (rest + self._bounded(chunk, rest)).split(b"\n")
                yield from whole
            if rest:
                yield rest

    def chunks(self) -> Generator[bytes, None, None]:
        """The bytes as they come, of any length."""
        with self:
            yield from self._chunks

    def _bounded(self, chunk: bytes, have: bytes | bytearray) -> bytes:
        if len(have) + len(chunk) > LONGEST_BYTES:
            raise ProtocolError(
                self.request, f"the answer is longer than {LONGEST_BYTES >> 20} MiB"
            )
        return chunk


Transport = Callable[[Request], Response]


class HttpError(Exception):
    """No answer that can be used; the message says which and why."""

    passes = False  # whether the same request may well be answered a moment later

    def __init__(self, request: Request, reason: str, *, passes: bool | None = None) -> None:
        self.request = request
        self.reason = reason
        self.passes = type(self).passes if passes is None else passes
        super().__init__(f"{request.shown}: {reason}")


class ConnectError(HttpError):
    """There is no connection."""

    passes = True


class Stalled(HttpError):
    """No byte came for too long."""


class Cut(HttpError):
    """The connection ended before the answer did."""

    passes = True


class ProtocolError(HttpError):
    """The answer is not what it should be."""


class StatusError(HttpError):
    """The server answers with a status that is not expected; ``words`` are what it says about it."""

    def __init__(self, response: Response, words: str) -> None:
        self.status = response.status
        self.response = response
        self.words = words
        phrase = http.client.responses.get(response.status, "")
        said = f"{response.status} {phrase}".strip() + (f": {words}" if words else "")
        super().__init__(response.request, said, passes=response.status in PASSING)


class NotFound(StatusError):
    """404."""


class Unauthorized(StatusError):
    """401 or 403."""


class RateLimited(StatusError):
    """429."""


_BY_STATUS = {401: Unauthorized, 403: Unauthorized, 404: NotFound, 429: RateLimited}


def status_error(response: Response, words: str) -> StatusError:
    """The error that ``response`` stands for."""
    return _BY_STATUS.get(response.status, StatusError)(response, words)
