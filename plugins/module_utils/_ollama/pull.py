# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One model's download: progress, stalls, new attempts. Private to this collection.

The server keeps what it has of a download that was cut, and goes on from there when it is asked again.
"""

from __future__ import annotations

import re
import time
from collections import deque
from contextlib import closing
from dataclasses import dataclass
from typing import Callable

from ansible_collections.gpubox.llm.plugins.module_utils._http import HttpError
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.client import Event, Ollama
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.names import Name, OllamaError

__all__ = ["Download", "Limits", "Meter", "amount"]

WINDOW_SECONDS = 10.0  # over which the speed is measured
SLOWEST_DISK = 25e6  # bytes a second
CRAWL = 0.2  # of the best speed that a layer had: below it, new connections are likely faster
LONGEST_WAIT_SECONDS = 30.0

# What no new attempt helps against: the server's words, then what they mean and what to do.
FINAL = (
    (
        r"manifest: file does not exist|manifest unknown",
        "the registry has no such model or tag. Check the name",
    ),
    (
        r"no space left on device|disk quota exceeded|not enough space",
        "the server's disk is full. Free some space and run again; what was downloaded is kept",
    ),
    (
        r"manifest: 412|newer version of ollama",
        "the server is too old for this model. Update Ollama",
    ),
    (
        r"manifest: 40[13]|unauthorized",
        "the registry wants a login. Add the server's public key (id_ed25519.pub) there",
    ),
    (
        r"x509:|certificate signed by unknown authority|certificate has expired",
        "the server does not trust the registry's certificate. Name its authority in ca_file, or have the box trust it",
    ),
    (
        r"insecure protocol http|invalid model name",
        "the server does not pull under this name. Check it",
    ),
    (
        r"this model requires",
        "the server cannot run this model. See what the server says",
    ),
    (
        r"read-only file system|permission denied",
        "the server may not write its models. Check who owns its directory",
    ),
)


@dataclass(frozen=True)
class Limits:
    """How patient a download is."""

    stall_seconds: float = 60
    retries: int = 5  # in a row, without getting further


class Meter:
    """How far a download is, how fast, and how long it will still take."""

    def __init__(self, size: int = 0) -> None:
        self._size = size
        self._totals: dict[str, int] = {}
        self._best: dict[str, int] = {}  # bytes of each layer, over all attempts
        self.begin()

    def begin(self) -> None:
        """A new attempt."""
        self._last: dict[str, int] = {}  # bytes of each layer, as this attempt said last
        self._arrived = 0
        self._moved_at = time.monotonic()
        self._watch("")

    def _watch(self, layer: str) -> None:
        """Speeds are compared within a layer: a small one is never as fast as a large one."""
        self._layer, self._fastest = layer, 0.0
        self._samples = deque([(time.monotonic(), self._arrived)])

    @property
    def crawls(self) -> bool:
        """Whether what is left comes far slower than the layer did before: often one connection of many hangs."""
        return self._speed < self._fastest * CRAWL

    @property
    def _speed(self) -> float:
        seconds = self._samples[-1][0] - self._samples[0][0]
        return (self._samples[-1][1] - self._samples[0][1]) / seconds if seconds > 0 else 0.0

    @property
    def done(self) -> int:
        """Bytes that the server had at best."""
        return sum(self._best.values())

    @property
    def still_seconds(self) -> float:
        """For how long nothing has moved."""
        return time.monotonic() - self._moved_at

    def take(self, event: Event) -> None:
        """Note an event of the stream."""
        now, digest = time.monotonic(), event.digest
        last = self._last.get(digest)
        if not digest or event.completed != last:
            self._moved_at = now
        if digest:
            # What a layer begins with was there before: it has not come with any speed.
            self._arrived += max(event.completed - last, 0) if last is not None else 0
            self._last[digest] = event.completed
            self._best[digest] = max(event.completed, self._best.get(digest, 0))
            self._totals[digest] = event.total
            if digest != self._layer:
                self._watch(digest)
            self._samples.append((now, self._arrived))
        while now - self._samples[0][0] > WINDOW_SECONDS and len(self._samples) > 1:
            self._fastest = max(self._fastest, self._speed)
            self._samples.popleft()

    def __str__(self) -> str:
        size = max(self._size, sum(self._totals.values()))
        if not size:
            return "asking the registry"
        percent = min(100 * self.done // size, 100)
        speed = self._speed
        text = f"{percent:3d} % of {amount(size)}, {speed / 1e6:.1f} MB/s"
        if speed > 0 and self.done < size:
            text += f", {_duration((size - self.done) / speed)} left"
        return text


@dataclass
class Download:
    """Has a server pull one model, as often as it takes within the limits."""

    server: Ollama
    limits: Limits
    show: Callable[[str], None]

    def run(self, name: Name, *, size: int = 0, insecure: bool = False) -> None:
        """Pull ``name``; ``size`` is what its manifest says, if that is known."""
        meter, failures = Meter(size), 0
        while True:
            before = meter.done
            try:
                self._attempt(name, size, insecure, meter)
                return
            except (HttpError, OllamaError) as error:
                failures = 1 if meter.done > before else failures + 1
                reason = _final(str(error))
                if reason:
                    raise OllamaError(
                        f"{name} cannot be pulled: {reason}. (Ollama: {error})"
                    ) from error
                if failures > self.limits.retries:
                    raise OllamaError(
                        f"{name} cannot be pulled: after {failures} attempts in a row it got no further: {error}. "
                        "Check the way to the registry and run again; what was downloaded is kept."
                    ) from error
                self.show(f"interrupted at {meter}: {error}; going on in a moment")
                time.sleep(min(2.0 ** (failures - 1), LONGEST_WAIT_SECONDS))

    def _attempt(self, name: Name, size: int, insecure: bool, meter: Meter) -> None:
        meter.begin()
        # Ollama reads everything once more at the end, and says nothing meanwhile.
        silence = max(self.limits.stall_seconds, size / SLOWEST_DISK)
        events = self.server.pull(name, insecure=insecure, stall_seconds=silence)
        with closing(events):
            for event in events:
                meter.take(event)
                if event.digest and meter.still_seconds > self.limits.stall_seconds:
                    raise OllamaError(f"nothing came for {self.limits.stall_seconds:.0f} s")
                if event.digest and meter.crawls:
                    raise OllamaError("it has become far slower than it was")
                self.show(str(meter) if event.digest else event.status)


def amount(size: float) -> str:
    """Bytes for people, as Ollama counts them."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size:.0f} B"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _final(words: str) -> str:
    """What is wrong, if a new attempt would not help."""
    for pattern, reason in FINAL:
        if re.search(pattern, words, re.IGNORECASE):
            return reason
    return ""
