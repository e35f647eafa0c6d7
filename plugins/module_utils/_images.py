# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to do about each image that a site wants: pure decisions. Private to this collection.

An image built here carries the hash of its recipe as a label, so the engine itself remembers what it was built from.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "LABEL",
    "Found",
    "ImageError",
    "PullProgress",
    "Recipe",
    "Task",
    "cure",
    "last_lines",
    "plan",
    "refusals",
    "short",
]

LABEL = "io.gpubox.llm.recipe"
OUTCOMES = {"pull": "pulled", "load": "loaded", "build": "built"}


class ImageError(RuntimeError):
    """An image cannot be had; the message says which, at which step, why and what to do."""


@dataclass(frozen=True)
class Recipe:
    """How to build one image from packages."""

    suite: str  # of Debian
    packages: Sequence[str]
    script: str  # run by sh inside the new root
    files: Mapping[str, str]  # beside the script while it runs
    config: Sequence[str]  # Dockerfile instructions that say how the image is run
    megabytes: int  # of the image; what must be free

    @classmethod
    def parse(cls, reference: str, data: Mapping[str, Any]) -> Recipe:
        """A recipe from its rendered data."""
        try:
            return cls(**data)
        except TypeError as error:
            raise ImageError(f"the recipe of {reference} is not well formed: {error}") from error

    @property
    def hash(self) -> str:
        """The same for the same recipe, whatever the time, the mirror or the machine."""
        parts = [self.suite, list(self.packages), self.script, dict(self.files), list(self.config)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Found:
    """What is known of one reference before anything is done."""

    image_id: str = ""
    recipe: str = ""  # the hash in the label; images that nobody built here have none
    archived: bool = False  # the archive directory holds this very recipe
    registry: bool = False  # the registry would give it

    def serves(self, recipe: Recipe | None) -> bool:
        """Whether the image is used as it is. One that the user pulled or built is never replaced."""
        return bool(self.image_id) and (
            not self.recipe or recipe is None or self.recipe == recipe.hash
        )


@dataclass(frozen=True)
class Task:
    """What to do about one reference: ``ways`` to get it, best first; none if it is used as it is."""

    reference: str
    recipe: Recipe | None
    found: Found
    ways: Sequence[str] = ()
    archive: bool = False  # write it to the archive directory

    @property
    def the_recipe(self) -> Recipe:
        """The recipe, where the way needs one."""
        if self.recipe is None:
            raise ImageError(f"no recipe builds {self.reference}")
        return self.recipe

    @property
    def rebuilt(self) -> bool:
        """Whether an image that was built here gives way to a newer one."""
        return bool(self.ways and self.found.image_id)

    @property
    def outcome(self) -> str:
        """The word for what happens if the best way works."""
        return self.outcome_of(self.ways[0]) if self.ways else "present"

    def outcome_of(self, way: str) -> str:
        """The word for what happened by that way."""
        return "rebuilt" if self.rebuilt else OUTCOMES[way]


def plan(reference: str, recipe: Recipe | None, found: Found, mode: str, archive: bool) -> Task:
    """Decide. ``mode`` is auto or local; ``archive`` tells whether built images are to be archived."""
    ways = []
    if not found.serves(recipe):
        # A recipe that changed is followed even where the registry answers by now: the box keeps to what it has.
        if mode == "auto" and not found.image_id and found.registry:
            ways.append("pull")
        if found.archived:
            ways.append("load")
        if recipe:
            ways.append("build")
    ours = recipe is not None and (ways or found.recipe == recipe.hash)
    wanted = archive and ours and not found.archived and ways[:1] != ["pull"]
    return Task(reference, recipe, found, tuple(ways), bool(wanted))


def refusals(
    references: Iterable[str],
    recipes: Mapping[str, Mapping[str, Any]],
    refused: Sequence[Mapping[str, str]],
) -> list[str]:
    """Why references, or what their recipes install, are not to be used; known-bad versions are data."""
    faults = []
    for reference in references:
        recipe = recipes.get(reference, {})
        texts = [reference, *recipe.get("packages", []), *recipe.get("files", {}).values()]
        for entry in refused:
            if any(re.search(entry["match"], text, re.MULTILINE) for text in texts):
                faults.append(f"{reference}: refused, {entry['reason']}")
    return faults


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
        "local_images_pip_index_url or local_images_http_proxy and local_images_https_proxy to ones it reaches, or "
        "put images saved on another box into local_images_archive_dir.",
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
