# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A model registry behind a slow line: so much for each connection, so much for all, and one connection crawls.

``python -m tests.benchmarks.slow_registry DIRECTORY`` serves a directory laid out as Ollama's own, on loopback, in a
process of its own so that it does not share an interpreter with what is measured. As Ollama's real registry does, it
answers a blob's address with a redirect to another host name. ``/control`` sets the line and tells what was asked.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

NAMING, DELIVERING = "127.0.0.1", "localhost"  # two names of one machine
PIECE = 256 * 1024
SLICE_SECONDS = 0.05  # a slow connection sends at least so often
BUFFER = 128 * 1024  # small: what the kernel holds of a connection counts as sent


@dataclass
class Line:
    """How fast the line is, in bytes a second, and what has gone over it since it was set."""

    stream: float = 1e12
    link: float = 1e12
    crawl: float = 0  # what is left to the connection that crawls; 0: none does
    crawling: int = 3  # which one that is, in the order in which connections first ask for content
    latency: float = 0  # seconds that a manifest takes

    connections: int = 0
    sent: int = 0
    asked: dict[str, int] = field(default_factory=lambda: {"manifests": 0, "blobs": 0})
    _free_at: float = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def join(self) -> float:
        """A new connection asks for content; the pace that it gets."""
        with self._lock:
            self.connections += 1
            return self.crawl if self.crawl and self.connections == self.crawling else self.stream

    def pass_through(self, size: int) -> None:
        """Wait until the line as a whole has room for so many bytes."""
        with self._lock:
            self.sent += size
            self._free_at = max(time.monotonic(), self._free_at) + size / self.link
            wait = self._free_at - time.monotonic()
        if wait > 0:
            time.sleep(wait)

    def note(self, kind: str) -> None:
        with self._lock:
            self.asked[kind] += 1

    def report(self) -> dict[str, Any]:
        with self._lock:
            return {"connections": self.connections, "sent": self.sent, **self.asked}


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    root: Path
    line = Line()
    pace: float | None = None

    def do_GET(self) -> None:
        if self.path == "/control":
            return self._answer(200, json.dumps(self.line.report()).encode())
        found = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/([\w.:-]+)", self.path)
        if not found or ".." in self.path:
            return self._answer(404)
        name, kind, reference = found.groups()
        self.line.note(kind)
        if kind == "manifests":
            return self._manifest(self.root / "manifests" / name / reference)
        return self._blob(self.root / "blobs" / reference.replace(":", "-"))

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """A new line: counters and connections begin anew."""
        setting = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Handler.line = Line(**setting)
        self._answer(204)

    def _manifest(self, path: Path) -> None:
        time.sleep(self.line.latency)
        if path.is_file():
            self._answer(200, path.read_bytes())
        else:
            self._answer(404)

    def _blob(self, path: Path) -> None:
        host, _colon, port = self.headers["Host"].partition(":")
        if not path.is_file():
            return self._answer(404)
        if self.command == "HEAD":
            return self._head(200, path.stat().st_size)
        if host == NAMING:
            return self._answer(307, Location=f"http://{DELIVERING}:{port}{self.path}")
        size = path.stat().st_size
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first, last = (int(wanted[1]), int(wanted[2] or size - 1)) if wanted else (0, size - 1)
        last = min(last, size - 1)
        content_range = {"Content-Range": f"bytes {first}-{last}/{size}"} if wanted else {}
        self._head(206 if wanted else 200, last + 1 - first, **content_range)
        with path.open("rb") as file:
            self._send(file.fileno(), first, last + 1)

    def _send(self, file: int, offset: int, end: int) -> None:
        if self.pace is None:
            self.pace = self.line.join()
        line, due = self.line, time.monotonic()
        while offset < end:
            size = int(min(PIECE, max(self.pace * SLICE_SECONDS, 1024), end - offset))
            line.pass_through(size)
            goal = offset + size
            while offset < goal:
                offset += os.sendfile(self.connection.fileno(), file, offset, goal - offset)
            due = max(due + size / self.pace, time.monotonic() - SLICE_SECONDS)
            time.sleep(max(due - time.monotonic(), 0))

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self._head(status, len(body), **headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Accept-Ranges": "bytes", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def handle(self) -> None:
        """A client may leave whenever it likes."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            super().handle()

    def log_message(self, *_arguments: Any) -> None:
        """Counters say it."""


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        super().server_bind()


def main() -> None:
    Handler.root = Path(sys.argv[1])
    with Listener((NAMING, 0), Handler) as listener:
        print(listener.server_port, flush=True)
        listener.serve_forever()


if __name__ == "__main__":
    main()
