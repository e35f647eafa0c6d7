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

__all__ = ["LABEL", "Found", "ImageError", "Recipe", "Task", "plan", "refusals"]

LABEL = "gpubox.llm.recipe"
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
