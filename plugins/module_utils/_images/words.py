# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said about images while and after they are made: pure text. Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["PullProgress", "cure", "last_lines", "short"]


def short(reference: str) -> str:
    """The reference without its registry and path, for progress lines."""
    return reference.rsplit("/", 1)[-1]


class PullProgress:
    """Turns the engine's events of one pull into few lines."""

    def __init__(self, step: int = 10) -> None:
        self._layers: dict[str, tuple[int, int]] = {}
        self._step = step
        self._told = -step

    def feed(self, event: Mapping[str, Any]) -> str:
        """A line when another tenth is there, otherwise empty. Layers make themselves known one by one."""
        detail = event.get("progressDetail") or {}
        layer = str(event.get("id", ""))
        if event.get("status") == "Downloading" and detail.get("total"):
            self._layers[layer] = (int(detail.get("current", 0)), int(detail["total"]))
        elif (
            event.get("status") in ("Download complete", "Pull complete") and layer in self._layers
        ):
            total = self._layers[layer][1]
            self._layers[layer] = (total, total)
        else:
            return ""
        have, total = (sum(values) for values in zip(*self._layers.values()))
        percent = 100 * have // total
        if percent < self._told + self._step:
            return ""
        self._told = percent
        return f"pulling, {percent} % of {total / 1e6:.0f} MB"


# The first that fits counts: a program that cannot reach its server often says last that nothing was found there.
CURES = (
    (
        r"no space left|enough free space|disk quota",
        "Free some space in {work_dir} and in Docker's data directory (docker system df shows what images take); "
        "local_images_work_dir chooses another directory to build in.",
    ),
    (
        r"certificate|UnknownIssuer|\bSSL\b|\bTLS\b",
        "If a company proxy intercepts TLS, add its CA to the box (update-ca-certificates) or name it in "
        "local_images_ca_file.",
    ),
    (
        r"could ?n.t resolve|temporary failure|failed to lookup|dns error|could not connect|unable to connect"
        r"|connection (refused|failed|timed out|reset)|connect timed out|network is unreachable|newconnectionerror"
        r"|error sending request|read timed out|timed out",
        "The box must reach the Debian mirror {mirror} and the Python index {index}. Set local_images_debian_mirror, "
        "local_images_pip_index_url or local_images_proxy to ones it reaches, or put images saved on "
        "another box into local_images_archive_dir.",
    ),
    (
        r"version '[^']*' for '[^']*' was not found|unable to locate package|no (matching distribution|version of)"
        r"|no solution found|unsatisfiable",
        "The mirror no longer has the pinned version. Point local_images_debian_mirror at a snapshot of Debian (or "
        "local_images_pip_index_url at an index) that has it, or use the official image (llm_images: registry).",
    ),
    (
        r"hash(es)? mismatch|hash sum mismatch|do not match the hashes",
        "The mirror or index serves something else than what is pinned: try again later, or use another one.",
    ),
    (
        r"no_pubkey|not signed|is not signed|invalid signature|missing key",
        "Use a mirror of Debian that is signed by Debian's own archive key.",
    ),
    (
        r"\b404\b|not found|does not have a release file",
        "Look whether local_images_debian_mirror ({mirror}) is the address of a Debian mirror.",
    ),
)


def last_lines(lines: Iterable[str], count: int = 8) -> list[str]:
    """The end of what a build said, without what only says that it said it, and retries told once."""
    kept: list[str] = []
    before = ""
    for line in lines:
        alike = re.sub(r"0x\w+|\d+", "#", line)
        noise = line.startswith(("I: ", "==> ", "E: mmdebstrap failed")) or "hook.sh" in line
        if not noise and alike != before:
            kept.append(line)
        before = alike
    return kept[-count:]


def cure(output: str, **places: str) -> str:
    """What to do about a build that failed with that output."""
    for pattern, advice in CURES:
        if re.search(pattern, output, re.IGNORECASE):
            return advice.format(**places)
    return "Run the play again with -vvv, or use the official image (llm_images: registry)."
