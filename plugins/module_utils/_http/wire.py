# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The transport that speaks to servers, on the package requests. Private to this collection."""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urljoin, urlsplit

from ansible_collections.gpubox.llm.plugins.module_utils._http.messages import (
    ConnectError,
    Cut,
    HttpError,
    ProtocolError,
    Request,
    Response,
    Stalled,
    Transport,
)

__all__ = ["transport"]

MISSING = (
    "the Python package requests cannot be imported on the box; "
    "the role docker_host installs the distribution's python3-requests"
)
NO_URL = "this is no URL that can be asked; it needs http:// or https://, a host and perhaps a port"
# What another server may know of a request that it did not get itself.
HARMLESS = ("accept", "range", "user-agent")
CONNECTING = {"ConnectTimeout", "ConnectTimeoutError", "NewConnectionError", "ProxyError"}


def transport(
    *,
    connect_seconds: float = 10.0,
    stall_seconds: float = 60.0,
    ca_file: str = "",
    validate_certs: bool = True,
    proxies: Mapping[str, str] | None = None,
    max_redirects: int = 0,
) -> Transport:
    """A transport with its own pool of connections, for any number of threads.

    ``stall_seconds`` is how long no byte may come, not how long an answer may take. ``proxies`` are by scheme; None
    takes those of the environment, with its exceptions; {} uses none. Redirects of GET and HEAD are followed
    ``max_redirects`` times, never from https to http; another host gets no header that may be secret.
    """
    return _Wire(
        timeouts=(connect_seconds, stall_seconds),
        verify=(ca_file or os.environ.get("REQUESTS_CA_BUNDLE") or True)
        if validate_certs
        else False,
        proxies=proxies,
        max_redirects=max_redirects,
    )


class _Wire:
    def __init__(
        self,
        timeouts: tuple[float, float],
        verify: bool | str,
        proxies: Mapping[str, str] | None,
        max_redirects: int,
    ) -> None:
        self._timeouts = timeouts
        self._verify = verify
        self._proxies = proxies
        self._max_redirects = max_redirects
        self._session: Any = None

    def __call__(self, request: Request) -> Response:
        response = self._send(request)
        for _unused in range(self._max_redirects):
            onward = _redirect(response)
            if onward is None:
                return response
            response.close()
            response = self._send(onward)
        if self._max_redirects and _redirect(response):
            response.close()
            raise ProtocolError(request, f"more than {self._max_redirects} redirects")
        return response

    def _send(self, request: Request) -> Response:
        connect, stall = self._timeouts
        stall = request.stall_seconds or stall
        if hasattr(request.body, "read"):
            connect = max(connect, stall)  # for urllib3, sending is still connecting
        try:
            answer = self._pool(request).request(
                request.method,
                request.url,
                headers={"Accept-Encoding": "identity", **request.headers},
                data=request.body,
                stream=True,
                timeout=(connect, stall),
                verify=self._verify,
                proxies=self._proxies_for(request.url),
                allow_redirects=False,
            )
        except (OSError, ValueError) as error:
            raise _failure(request, error, (connect, stall)) from error
        chunks = _chunks(request, answer, stall)
        return Response(request, answer.status_code, answer.headers, chunks, answer.close)

    def _pool(self, request: Request) -> Any:
        if self._session is None:
            try:
                import requests
                import urllib3
            except ImportError:
                raise HttpError(request, MISSING) from None
            session = requests.Session()
            session.trust_env = False  # ~/.netrc would add credentials that nobody asked for
            session.cookies.set_policy(_no_cookies())
            if not self._verify:
                urllib3.disable_warnings()
            self._session = session
        return self._session

    def _proxies_for(self, url: str) -> Mapping[str, str]:
        if self._proxies is not None:
            return self._proxies
        from requests.utils import get_environ_proxies

        return get_environ_proxies(url, no_proxy=None)


def _no_cookies() -> Any:
    from http.cookiejar import DefaultCookiePolicy

    return DefaultCookiePolicy(allowed_domains=[])


def _redirect(response: Response) -> Request | None:
    """The request that ``response`` asks for instead, if it does."""
    request, place = response.request, response.headers.get("location")
    if (
        response.status not in (301, 302, 303, 307, 308)
        or request.method not in ("GET", "HEAD")
        or not place
    ):
        return None
    url = urljoin(request.url, place)
    old, new = urlsplit(request.url), urlsplit(url)
    if old.scheme == "https" and new.scheme != "https":
        raise ProtocolError(request, "redirected from https to something less safe")
    headers = request.headers
    if (old.scheme, old.netloc) != (new.scheme, new.netloc):
        headers = {name: value for name, value in headers.items() if name.lower() in HARMLESS}
    return replace(request, url=url, headers=headers)


def _chunks(request: Request, answer: Any, stall: float) -> Iterator[bytes]:
    """The body as it comes: chunk by chunk, or if only its end says how long it is, byte by byte."""
    length = answer.headers.get("content-length", "")
    chunked = "chunked" in answer.headers.get("transfer-encoding", "").lower()
    size = None if chunked else 1 << 16 if length else 1
    try:
        yield from answer.iter_content(size)
    except OSError as error:
        if isinstance(_cause(error), (TimeoutError, socket.timeout)):
            raise Stalled(request, f"no byte for {stall:g} s in the answer's body") from error
        raise Cut(request, f"the answer's body was cut off: {_words(_cause(error))}") from error
    # urllib3 1 takes a body that is too short for a whole one.
    if length.isdigit() and request.method != "HEAD" and answer.raw.tell() < int(length):
        raise Cut(request, f"the answer ended after {answer.raw.tell()} of {length} bytes")


def _failure(request: Request, error: Exception, timeouts: tuple[float, float]) -> HttpError:
    """What an exception before the answer's first line means."""
    cause = _cause(error)
    connecting = bool({type(one).__name__ for one in _chain(error)} & CONNECTING)
    late = isinstance(cause, (TimeoutError, socket.timeout))
    if cause is None:
        return ConnectError(request, NO_URL, passes=False)
    if isinstance(cause, ssl.SSLError):
        return ConnectError(request, f"no TLS connection: {_words(cause)}", passes=False)
    if late and not connecting:
        return Stalled(request, f"no byte for {timeouts[1]:g} s instead of an answer")
    if isinstance(cause, ConnectionError) and not connecting:
        return Cut(request, f"the connection ended without an answer: {_words(cause)}")
    if isinstance(cause, http.client.HTTPException) and not connecting:
        return ProtocolError(request, "what answers there does not speak HTTP")
    words = f"not within {timeouts[0]:g} s" if late else _words(cause)
    return ConnectError(request, f"no connection: {words}")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None and not isinstance(error, HttpError):
        yield error
        error = error.__cause__ or error.__context__


def _cause(error: BaseException) -> BaseException | None:
    """The exception below those of requests and urllib3, whose texts are long and repeat the URL."""
    for one in _chain(error):
        theirs = type(one).__module__.partition(".")[0] in ("requests", "urllib3")
        if not theirs and isinstance(one, (OSError, http.client.HTTPException)):
            return one
    return None


def _words(cause: BaseException | None) -> str:
    text = str(getattr(cause, "strerror", None) or cause or "its end is missing")
    return re.sub(r"\[[\w: ]*\] ?| \(_ssl[^)]*\)", "", text).strip()
