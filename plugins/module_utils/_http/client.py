# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What API clients stand on: paths and data instead of URLs and bytes, retries, errors. Private to this collection."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Generator, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Callable

from ansible_collections.gpubox.llm.plugins.module_utils._http.messages import (
    HttpError,
    ProtocolError,
    Request,
    Response,
    StatusError,
    Transport,
    status_error,
)

__all__ = ["Http", "server_words"]

SAFE = ("GET", "HEAD", "OPTIONS")
REPEATABLE = (*SAFE, "PUT", "DELETE")
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
SECRET_HEADER = re.compile(r"authorization|cookie|key|token|secret", re.IGNORECASE)


class Http:
    """One server's API.

    Asked again, for at most ``retry_seconds``: GET, HEAD and OPTIONS that got no connection, no answer or 429, 502,
    503 or 504; PUT and DELETE too where the caller says so. ``words`` takes the server's words from an answer.
    """

    def __init__(
        self,
        base_url: str,
        transport: Transport,
        *,
        headers: Mapping[str, str] | None = None,
        retry_seconds: float = 60.0,
        words: Callable[[Response], str] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._transport = transport
        self._headers = dict(headers or {})
        self._retry_seconds = retry_seconds
        self._words = words or server_words
        self._sleep = sleep
        self._clock = clock

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        ok: Collection[int] = (200, 201, 204),
        retry: bool = False,
        stall_seconds: float = 0,
    ) -> Response:
        """Ask; a status that is not in ``ok`` is an error. ``body`` is bytes, an open file, or data sent as JSON."""
        given = {**self._headers, **(headers or {})}
        if body is not None and not isinstance(body, bytes) and not hasattr(body, "read"):
            body = json.dumps(body).encode()
            given = {"Content-Type": "application/json", **given}
        request = Request(method, self.base_url + path, given, body, stall_seconds)
        return self._answer(request, ok, again=method in (REPEATABLE if retry else SAFE))

    def json(self, method: str, path: str, **options: Any) -> Any:
        """The data of the answer; the options are those of ``call``."""
        with self.call(method, path, **options) as response:
            return response.json()

    def stream(
        self, method: str, path: str, **options: Any
    ) -> Generator[dict[str, Any], None, None]:
        """Each object of an NDJSON answer as it comes; the request is sent before this returns."""
        return _objects(self.call(method, path, **options))

    def _answer(self, request: Request, ok: Collection[int], again: bool) -> Response:
        deadline = self._clock() + self._retry_seconds
        pause = FIRST_PAUSE
        while True:
            error: HttpError
            try:
                response = self._transport(request)
                if response.status in ok:
                    return response
                error = self._error(response)
            except HttpError as failure:
                error = failure
            wait = min(max(pause, _retry_after(error)), LONGEST_PAUSE)
            if not (again and error.passes) or self._clock() + wait > deadline:
                raise error
            self._sleep(wait)
            pause *= 2

    def _error(self, response: Response) -> StatusError:
        words = ""
        with suppress(
            HttpError
        ):  # a status says something even where the rest of the answer is lost
            words = self._words(response)
        response.close()
        for name, value in response.request.headers.items():
            for secret in value.split() if SECRET_HEADER.search(name) else ():
                words = words.replace(secret, "***")
        return status_error(response, words)


def _objects(response: Response) -> Generator[dict[str, Any], None, None]:
    with response:
        for line in response.lines():
            if not line.strip():
                continue
            try:
                data = json.loads(line)
            except ValueError:
                shown = line[:80].decode("utf-8", "replace")
                raise ProtocolError(
                    response.request, f"a line of the answer is no JSON: {shown!r}"
                ) from None
            if not isinstance(data, dict):
                raise ProtocolError(response.request, "a line of the answer is no JSON object")
            yield data


def _retry_after(error: HttpError) -> float:
    """The seconds that the server asks to wait: a number or a date, otherwise 0."""
    if not isinstance(error, StatusError):
        return 0.0
    text = error.response.headers.get("retry-after", "")
    with suppress(ValueError):
        return float(text)
    with suppress(ValueError, TypeError):
        return (parsedate_to_datetime(text) - datetime.now(timezone.utc)).total_seconds()
    return 0.0


def server_words(response: Response) -> str:
    """What the answer says in one short line, whether it is JSON, HTML or text."""
    text = response.body.decode("utf-8", "replace")
    try:
        said = _said(json.loads(text))
    except ValueError:
        said = re.sub(r"<(style|script).*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL)
    return " ".join(re.sub(r"[^\S ]|[\x00-\x1f\x7f-\x9f]", " ", said).split())[:300]


def _said(data: Any) -> str:
    """The text of an error as the usual APIs nest it."""
    if isinstance(data, str):
        return data
    if isinstance(data, list):
        return "; ".join(filter(None, map(_said, data)))
    if isinstance(data, dict):
        for key in ("error", "errors", "message", "detail", "msg", "title"):
            said = _said(data.get(key))
            if said:
                return said
    return ""
