# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ollama's API: one method for one request. Private to this collection."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._http import (
    Http,
    NotFound,
    Response,
    StatusError,
    server_words,
)
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.names import Name, OllamaError

__all__ = ["Event", "Loaded", "Model", "Ollama", "words"]

PATIENT_SECONDS = 900  # for what takes long without a word: loading, quantizing, hashing a big file


@dataclass(frozen=True)
class Model:
    """A model that the server has."""

    name: Name
    digest: str  # SHA-256 of the manifest, 64 digits
    size: int
    details: Mapping[str, Any] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loaded:
    """A model in memory."""

    name: Name
    digest: str
    size: int
    on_gpu: int  # bytes of it
    context: int
    expires_at: str


@dataclass(frozen=True)
class Event:
    """One line of a stream; ``digest``, ``total`` and ``completed`` while something is transferred."""

    status: str
    digest: str = ""
    total: int = 0
    completed: int = 0


class Ollama:
    """One server."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def version(self) -> str:
        """Of the server."""
        return str(self._json("GET", "/api/version").get("version", ""))

    def tags(self) -> dict[Name, Model]:
        """All models that the server has."""
        found = [
            Model(
                name=Name.of(item["name"]),
                digest=item["digest"],
                size=item["size"],
                details=item.get("details") or {},
                capabilities=tuple(item.get("capabilities") or ()),
            )
            for item in self._items("/api/tags", "name", "digest", "size")
        ]
        return {model.name: model for model in found}

    def ps(self) -> dict[Name, Loaded]:
        """All models in memory."""
        found = [
            Loaded(
                name=Name.of(item["name"]),
                digest=item.get("digest", ""),
                size=item.get("size", 0),
                on_gpu=item.get("size_vram", 0),
                context=item.get("context_length", 0),
                expires_at=item.get("expires_at", ""),
            )
            for item in self._items("/api/ps", "name")
        ]
        return {model.name: model for model in found}

    def show(self, name: Name) -> dict[str, Any]:
        """What the server says about a model; NotFound if it has none of that name."""
        return self._json("POST", "/api/show", {"model": name.short})

    def pull(
        self, name: Name, *, insecure: bool = False, stall_seconds: float = 0
    ) -> Generator[Event, None, None]:
        """Have the server pull; ends only after its ``success``. 0 seconds: as the transport has it."""
        body = {"model": name.short, "insecure": insecure}
        return self._events("/api/pull", body, stall_seconds)

    def create(self, payload: Mapping[str, Any]) -> Generator[Event, None, None]:
        """Have the server create a model; ends only after its ``success``."""
        return self._events("/api/create", payload, PATIENT_SECONDS)

    def copy(self, source: Name, destination: Name) -> None:
        """Give a model a second name."""
        self._http.call(
            "POST", "/api/copy", body={"source": source.short, "destination": destination.short}
        )

    def delete(self, name: Name) -> None:
        """Remove a name, and what no other model needs of it; one that is gone already is no error."""
        try:
            self._http.call("DELETE", "/api/delete", body={"model": name.short})
        except NotFound:
            return

    def has_blob(self, digest: str) -> bool:
        """Whether the server has the file; ``digest`` begins with ``sha256:``."""
        return self._http.call("HEAD", f"/api/blobs/{digest}", ok=(200, 404)).status == 200

    def push_blob(self, digest: str, file_path: str) -> None:
        """Send a file; the server compares it with its digest."""
        with open(file_path, "rb") as file:
            path = f"/api/blobs/{digest}"
            self._http.call("POST", path, body=file, stall_seconds=PATIENT_SECONDS)

    def load(self, name: Name, keep_alive: int | str | None = None) -> None:
        """Bring a model into memory; one that only embeds is loaded by embedding something."""
        body: dict[str, Any] = {"model": name.short, "stream": False}
        if keep_alive is not None:
            body["keep_alive"] = keep_alive
        try:
            self._json("POST", "/api/generate", body, PATIENT_SECONDS)
        except StatusError as error:
            if error.status != 400 or "does not support generate" not in str(error):
                raise
            self._json("POST", "/api/embed", {**body, "input": "hi"}, PATIENT_SECONDS)

    def unload(self, name: Name) -> None:
        """Take a model out of memory, once the requests that it is answering have ended."""
        self._json("POST", "/api/generate", {"model": name.short, "keep_alive": 0, "stream": False})

    # -- answers -----------------------------------------------------------------------------------------

    def _json(
        self, method: str, path: str, body: Any = None, stall_seconds: float = 0
    ) -> dict[str, Any]:
        answer = self._http.json(method, path, body=body, stall_seconds=stall_seconds)
        if not isinstance(answer, dict):
            raise OllamaError(f"{method} {path}: this is not how Ollama answers. Check the URL.")
        return answer

    def _items(self, path: str, *needed: str) -> list[dict[str, Any]]:
        items = self._json("GET", path).get("models")
        if items is None:
            items = []
        if not isinstance(items, list) or any(
            not isinstance(item, dict) or any(key not in item for key in needed) for item in items
        ):
            raise OllamaError(f"GET {path}: this is not how Ollama answers. Check the URL.")
        return items

    def _events(
        self, path: str, body: Mapping[str, Any], stall_seconds: float
    ) -> Generator[Event, None, None]:
        """The stream's lines. An error comes as a line, too, and a stream without ``success`` was cut."""
        last = ""
        whole = {**body, "stream": True}
        lines = self._http.stream("POST", path, body=whole, stall_seconds=stall_seconds)
        with closing(lines):
            for line in lines:
                if line.get("error"):
                    raise OllamaError(str(line["error"]))
                event = _event(line)
                last = event.status
                yield event
        if last != "success":
            raise OllamaError(f"the server's answer ended early, after {last!r}")


def words(response: Response) -> str:
    """What an answer says that is an error; to a host name that it does not like, Ollama says nothing."""
    said = server_words(response)
    if response.status == 403 and not said:
        return (
            "Ollama answers only to names of its own machine while it listens on a loopback address. "
            "Use an address in the URL, or let OLLAMA_HOST be more than a loopback address"
        )
    return said


def _event(line: Mapping[str, Any]) -> Event:
    try:
        return Event(
            status=str(line.get("status", "")),
            digest=str(line.get("digest", "")),
            total=int(line.get("total", 0)),
            completed=int(line.get("completed", 0)),
        )
    except (TypeError, ValueError) as error:
        raise OllamaError(f"the server's answer has a line that makes no sense: {line}") from error
