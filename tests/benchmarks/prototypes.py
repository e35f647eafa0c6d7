# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A prototype, never shipped: what a downloader of our own would gain, so that it can be measured.

``Filler`` downloads by itself and fills the server's blob store.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path

PIECE = 256 * 1024
WORKERS = 16  # as many connections as Ollama opens
RANGE = 16 * 1024 * 1024
WORTH_SECONDS = 3.0  # a range that needs no longer is not asked for a second time


@dataclass
class Range:
    """A part of a blob, and how far it has come."""

    path: Path
    address: str
    start: int
    end: int
    begun: float = 0
    at: int = 0
    owners: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def needs(self) -> float:
        """Seconds until it is done, at the pace it has had so far."""
        pace = (self.at - self.start) / max(time.monotonic() - self.begun, 0.01)
        return (self.end - self.at) / max(pace, 1)


class Filler:
    """A work queue of ranges; whoever has nothing left takes over what is slowest."""

    def __init__(self, host: str, models: Path) -> None:
        self._host, self._models = host, models
        self._queue: deque[Range] = deque()
        self._running: list[Range] = []
        self._lock = threading.Lock()
        self._faults: list[BaseException] = []

    def pull(self, *names: str) -> None:
        """Every model's layers at once; each model is there when all its layers are."""
        (self._models / "blobs").mkdir(parents=True, exist_ok=True)
        manifests = {name: self._get(f"/v2/library/{name}/manifests/latest") for name in names}
        layers: dict[str, dict[str, Any]] = {}
        for body in manifests.values():
            manifest = json.loads(body)
            layers |= {one["digest"]: one for one in [*manifest["layers"], manifest["config"]]}
        for layer in layers.values():
            self._enqueue(layer)
        workers = [threading.Thread(target=self._work, daemon=True) for _worker in range(WORKERS)]
        for worker in workers:
            worker.start()
        while any(worker.is_alive() for worker in workers) and not self._all_done():
            time.sleep(0.01)
        if self._faults:
            raise self._faults[0]
        for digest in layers:
            self._finish(digest)
        for name, body in manifests.items():
            path = self._models / "manifests" / self._host / "library" / name / "latest"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)

    def _get(self, path: str) -> bytes:
        connection = http.client.HTTPConnection(self._host)
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200, answer.status
        return answer.read()

    def _enqueue(self, layer: dict[str, Any]) -> None:
        connection = http.client.HTTPConnection(self._host)
        connection.request("GET", f"/v2/library/x/blobs/{layer['digest']}")
        address = connection.getresponse().headers["Location"]
        connection.close()
        path = self._partial(layer["digest"])
        with path.open("wb") as file:
            file.truncate(layer["size"])
        for start in range(0, layer["size"], RANGE):
            end = min(start + RANGE, layer["size"])
            self._queue.append(Range(path, address, start, end, at=start))

    def _partial(self, digest: str) -> Path:
        return self._models / "blobs" / f"{digest.replace(':', '-')}-filling"

    def _all_done(self) -> bool:
        with self._lock:
            return not self._queue and all(part.at >= part.end for part in self._running)

    def _next(self) -> Range | None:
        """New work, or the unfinished range that would take longest; None if all is in good hands."""
        with self._lock:
            if self._queue:
                part = self._queue.popleft()
                part.begun = time.monotonic()
                self._running.append(part)
                return part
            slow = [p for p in self._running if p.at < p.end and p.owners < 2]
            slowest = max(slow, key=lambda one: one.needs, default=None)
            return slowest if slowest and slowest.needs > WORTH_SECONDS else None

    def _work(self) -> None:
        connection: http.client.HTTPConnection | None = None
        try:
            while not self._all_done() and not self._faults:
                part = self._next()
                if part is None:
                    time.sleep(0.05)
                    continue
                connection = self._fetch(part, connection)
        except BaseException as fault:  # shown by the thread that waits
            self._faults.append(fault)

    def _fetch(
        self, part: Range, connection: http.client.HTTPConnection | None
    ) -> http.client.HTTPConnection | None:
        """Write the rest of a range; the connection if it can be used again."""
        part.owners += 1
        offset, address = part.at, urlsplit(part.address)
        connection = connection or http.client.HTTPConnection(address.netloc, timeout=30)
        connection.request("GET", address.path, headers={"Range": f"bytes={offset}-{part.end - 1}"})
        answer = connection.getresponse()
        assert answer.status == 206, answer.status
        file = os.open(part.path, os.O_WRONLY)
        try:
            while part.at < part.end:
                data = answer.read1(PIECE)
                assert data, "cut"
                os.pwrite(file, data, offset)
                offset += len(data)
                with part.lock:
                    part.at = max(part.at, offset)
        finally:
            os.close(file)
        if offset < part.end:  # another one was faster
            connection.close()
            return None
        answer.read()
        return connection

    def _finish(self, digest: str) -> None:
        path, hashed = self._partial(digest), hashlib.sha256()
        with path.open("rb") as file:
            while data := file.read(4 * PIECE):
                hashed.update(data)
        assert f"sha256:{hashed.hexdigest()}" == digest, "digest mismatch"
        path.rename(self._models / "blobs" / digest.replace(":", "-"))
