# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fake of an API is a function from Request to Response; ``serve`` puts it behind a socket."""

from __future__ import annotations

import json
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._http import (
    Cut,
    Request,
    Response,
    Stalled,
)

Handle = Callable[[Request], Response]


def content(request: Request) -> bytes:
    """The body of a request, also of one that came as a file."""
    if request.body is None or isinstance(request.body, bytes):
        return request.body or b""
    return request.body.read()


def answer(
    request: Request, status: int = 200, data: Any = None, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer with JSON, or with bytes as they are; None is an empty body."""
    if data is None or isinstance(data, bytes):
        return Response(request, status, headers, [data] if data else [])
    given = {"Content-Type": "application/json", **(headers or {})}
    return Response(request, status, given, [json.dumps(data).encode()])


def stream(request: Request, objects: Iterable[Any]) -> Response:
    """An NDJSON answer, line by line. ``objects`` may raise Cut or Stalled: over a socket that happens for real."""
    lines = (json.dumps(one).encode() + b"\n" for one in objects)
    return Response(request, 200, {"Content-Type": "application/x-ndjson"}, lines)


class Server:
    """Where a fake answers, and what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[Request] = []
        self.faults: list[str] = []
        self.over = threading.Event()


@contextmanager
def serve(handle: Handle, port: int = 0, host: str = "127.0.0.1") -> Iterator[Server]:
    """``handle`` behind a socket of this machine; its exceptions fail the test that serves it."""

    class Handler(_Handler):
        pass

    with ThreadingHTTPServer((host, port), Handler) as listener:
        listener.daemon_threads = True
        listener.block_on_close = False
        server = Server(f"http://{host}:{listener.server_port}")
        Handler.server_, Handler.handle_ = server, staticmethod(handle)
        thread = threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            listener.shutdown()
            thread.join()
    assert not server.faults, "\n".join(server.faults)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_: Server
    handle_: Callable[[Request], Response]

    def _any(self) -> None:
        server = self.server_
        body = self._read()
        url = f"{server.url}{self.path}"
        request = Request(self.command, url, {k.lower(): v for k, v in self.headers.items()}, body)
        server.requests.append(request)
        try:
            self._send(type(self).handle_(request))
        except (Cut, Stalled) as error:
            self._break(isinstance(error, Stalled))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        except Exception:
            server.faults.append(traceback.format_exc())
            self._break(stall=False)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _any

    def _read(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        bare = self.command == "HEAD" or response.status in (204, 304)
        chunked = not bare and "content-length" not in response.headers
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if bare:
            return
        for chunk in filter(None, response.chunks()):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk) if chunked else chunk)
            self.wfile.flush()
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _break(self, stall: bool) -> None:
        """End the connection without the answer's end; first, if it stalls, let the client wait."""
        if stall:
            self.server_.over.wait()
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        pass


def forever(handle: Handle, port: int) -> None:
    """Serve until the process is ended: a fake for people and other processes."""
    with serve(handle, port) as server:
        print(server.url, flush=True)
        while True:
            time.sleep(3600)
