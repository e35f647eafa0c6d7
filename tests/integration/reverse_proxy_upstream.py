# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A service that writes down what reaches it. Port 4000 is the service, port 4001 reads (and forgets) its notes.

The header X-Behave says how to answer: ``stream``, ``drop``, ``hang``, ``refuse``, ``many-headers``.
"""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SEEN: list[dict[str, object]] = []
STREAM_EVENTS, STREAM_PAUSE = 5, 0.3


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5  # as uvicorn: closes what is idle for 5 s
    disable_nagle_algorithm = True

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        SEEN.append(
            {
                "method": self.command,
                "path": self.path,
                "headers": [[name.lower(), value] for name, value in self.headers.items()],
                "body_bytes": len(body),
            }
        )
        behave = self.headers.get("X-Behave", "")
        getattr(self, "do_" + behave.replace("-", "_"), self.do_well)()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = answer

    def do_well(self, status: int = 200, extra: int = 0) -> None:
        body = b'{"object":"chat.completion"}'
        if status == 429:
            body = b'{"error":{"message":"from LiteLLM","type":"throttling_error","code":"429"}}'
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Content-Security-Policy", "frame-ancestors 'none'")
        self.send_header("X-Request-Id", "the-service-has-its-own")
        self.send_header("X-Litellm-Version", "1.2.3")
        self.send_header("X-Litellm-Model-Api-Base", "http://secret.internal")
        self.send_header("X-Litellm-Call-Id", self.headers.get("X-Litellm-Call-Id") or "none")
        self.send_header("X-Accel-Redirect", "/v1/models")
        for number in range(extra):
            self.send_header(f"X-Ratelimit-{number}", "x" * 200)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_many_headers(self) -> None:
        self.do_well(extra=80)

    def do_refuse(self) -> None:
        self.do_well(429)

    def do_drop(self) -> None:
        self.close_connection = True

    def do_hang(self) -> None:
        time.sleep(4)
        self.do_well()

    def do_stream(self) -> None:
        events = int(self.headers.get("X-Events") or STREAM_EVENTS)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for _turn in range(events):
            event = f"data: {time.monotonic()}\n\n".encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
            time.sleep(STREAM_PAUSE)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *arguments: object) -> None:
        """Say nothing: what matters is in SEEN."""


class Notes(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps(SEEN).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def do_DELETE(self) -> None:
        SEEN.clear()
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    threading.Thread(target=Server(("", 4001), Notes).serve_forever, daemon=True).start()
    Server(("", 4000), Service).serve_forever()
