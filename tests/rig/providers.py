# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stand-ins of model providers that record what they are sent: OpenAI, Anthropic, Azure, Groq and Ollama on one port.

The first part of the path says which provider is meant (``http://host:port/anthropic``). The name of the model says
how it answers: ``fail-429`` always with that status, ``flaky-2`` with 500 twice and then well, ``slow-5`` after five
seconds, anything else well. Errors repeat the prompt, as some providers' do.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
WORDS = ("Hello ", "there")


@dataclass(frozen=True)
class Call:
    """One request as a provider saw it."""

    provider: str
    path: str  # without the provider's name, with the query
    headers: dict[str, str]  # names in lower case
    body: dict[str, Any]
    model: str


class Providers:
    """All stand-ins, and what they were sent."""

    def __init__(self, address: str) -> None:
        self.calls: list[Call] = []
        self._failures: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server = _Server((address, 0), _Handler)
        self._server.providers = self

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    def of(self, provider: str, model: str = "") -> list[Call]:
        """The requests to this provider, or to one of its models."""
        return [c for c in self.calls if c.provider == provider and model in ("", c.model)]

    @contextmanager
    def running(self) -> Iterator[Providers]:
        """Answer for as long as the block lasts."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()

    def record(self, call: Call) -> int:
        """Remember the request; the status to answer with."""
        with self._lock:
            self.calls.append(call)
            if always := re.match(r"fail-(\d{3})", call.model):
                return int(always[1])
            if first := re.match(r"flaky-(\d+)", call.model):
                self._failures[call.model] += 1
                return 500 if self._failures[call.model] <= int(first[1]) else 200
        if wait := re.match(r"slow-(\d+)", call.model):
            time.sleep(int(wait[1]))
        return 200


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    providers: Providers


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        call = _call(self.path, {k.lower(): v for k, v in self.headers.items()}, raw)
        status = self.server.providers.record(call)
        try:
            self._answer(call, status)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the caller has given up

    def _answer(self, call: Call, status: int) -> None:
        if status != 200:
            text = f"told to fail at: {json.dumps(call.body)}"
            self._send(status, "application/json", [json.dumps({"error": {"message": text}})])
        elif call.body.get("stream"):
            kind = "application/x-ndjson" if call.provider == "ollama" else "text/event-stream"
            self._send(200, kind, STREAMS.get(call.provider, _openai_stream)(call.model))
        else:
            answer = ANSWERS.get(call.provider, _openai)(call)
            self._send(200, "application/json", [json.dumps(answer)])

    def _send(self, status: int, kind: str, parts: list[str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(sum(len(part.encode()) for part in parts)))
        self.end_headers()
        for part in parts:
            self.wfile.write(part.encode())
            self.wfile.flush()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing; the calls are recorded."""


def _call(target: str, headers: dict[str, str], raw: bytes) -> Call:
    provider, _rest, path = target.lstrip("/").partition("/")
    body = json.loads(raw or b"{}")
    in_path = re.search(r"/deployments/([^/]+)/", target)
    return Call(provider, f"/{path}", headers, body, in_path[1] if in_path else body["model"])


def _openai(call: Call) -> dict[str, Any]:
    if call.path.split("?")[0].endswith("/embeddings"):
        vector = {"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}
        return {"object": "list", "data": [vector], "model": call.model, "usage": USAGE}
    message = {"role": "assistant", "content": "".join(WORDS)}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": call.model,
        "service_tier": "default",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": USAGE,
    }


def _openai_stream(model: str) -> list[str]:
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}

    def chunk(delta: dict[str, str], reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return f"data: {json.dumps({**base, 'choices': [choice]})}\n\n"

    words = [chunk({"role": "assistant", "content": word}) for word in WORDS]
    usage = f"data: {json.dumps({**base, 'choices': [], 'usage': USAGE})}\n\n"
    return [*words, chunk({}, "stop"), usage, "data: [DONE]\n\n"]


def _anthropic_message(model: str) -> dict[str, Any]:
    usage = {"input_tokens": 3, "output_tokens": 2}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": model}
    return {**head, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}


def _anthropic(call: Call) -> dict[str, Any]:
    content = [{"type": "text", "text": "".join(WORDS)}]
    return {**_anthropic_message(call.model), "content": content, "stop_reason": "end_turn"}


def _anthropic_stream(model: str) -> list[str]:
    texts = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
        for word in WORDS
    ]
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": _anthropic_message(model)},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *texts,
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 2},
        },
        {"type": "message_stop"},
    ]
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]


def _ollama_part(model: str, text: str, done: bool) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    part: dict[str, Any] = {
        "model": model,
        "created_at": "2026-01-01T00:00:00Z",
        "message": message,
    }
    counts = {"done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2} if done else {}
    return {**part, "done": done, **counts}


def _ollama(call: Call) -> dict[str, Any]:
    if call.path == "/api/embed":
        return {"model": call.model, "embeddings": [[0.5, 0.25]], "prompt_eval_count": 3}
    return _ollama_part(call.model, "".join(WORDS), done=True)


def _ollama_stream(model: str) -> list[str]:
    parts = [_ollama_part(model, word, done=False) for word in WORDS]
    return [json.dumps(part) + "\n" for part in [*parts, _ollama_part(model, "", done=True)]]


ANSWERS = {"anthropic": _anthropic, "ollama": _ollama}
STREAMS = {"anthropic": _anthropic_stream, "ollama": _ollama_stream}
