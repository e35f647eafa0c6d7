# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules about images: pinned, not known to be bad, not older than what is safe. Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ._fault import Fault, fault
from ._site import Rule, Site, is_true, text

__all__ = ["RULES", "image_problem"]

Version = tuple[int, ...]


class Product(NamedTuple):
    """What is known of one product's versions; ``repository`` is a pattern for the last part of the image's name."""

    repository: str
    floor: Version
    reason: str  # why nothing below the floor
    bad: Mapping[Version, str] = {}


_STOLEN = "it was published by thieves on 2026-03-24 and sends credentials to them"
PRODUCTS: tuple[Product, ...] = (
    Product(
        r"litellm(-.+)?",
        (1, 84, 0),
        "a forged Host header opens its management routes without a key (CVE-2026-49468)",
        {(1, 82, 7): _STOLEN, (1, 82, 8): _STOLEN},
    ),
    Product(
        r"nginx(-unprivileged)?", (1, 30, 6), "string expressions overflow in it (CVE-2026-93479)"
    ),
    Product(
        r"ollama",
        (0, 35, 0),
        "a registry can make it write and run files while it pulls (CVE-2026-103663)",
    ),
)

_REFERENCE = re.compile(
    r"^(?P<name>(?:[A-Za-z0-9.-]+(?::\d+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?\Z"
)
_PIN = "Name a fixed version, for example"


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))


def _product(name: str) -> Product | None:
    last = name.rsplit("/", 1)[-1]
    return next((product for product in PRODUCTS if re.fullmatch(product.repository, last)), None)


def image_problem(reference: str) -> tuple[str, str] | None:
    """Why an image reference cannot be used, and the cure."""
    match = _REFERENCE.match(reference)
    if not match:
        return (
            "It is not an image reference.",
            "Write it as registry/name:version, for example nginx:1.30.6.",
        )
    name, tag, digest = match["name"], match["tag"], match["digest"]
    product = _product(name)
    example = f"{_PIN} {name}:{_dotted(product.floor) if product else '1.2.3'}."
    if not tag:
        return (
            None
            if digest
            else ("It names no version, so it means a different image every time.", example)
        )
    if not digest and (not re.search(r"\d", tag) or re.search(r"(^|-)(latest|nightly|edge)$", tag)):
        return f"The tag {tag} moves, so it means a different image every time.", example
    return _version_problem(product, tag, bool(digest), example) if product else None


def _version_problem(
    product: Product, tag: str, pinned: bool, example: str
) -> tuple[str, str] | None:
    match = re.match(r"^v?(\d+)\.(\d+)\.(\d+)", tag)
    if not match:
        exact = (
            None if pinned else (f"The tag {tag} is not an exact version, so it moves.", example)
        )
        return exact
    version = tuple(int(part) for part in match.groups())
    if version in product.bad:
        return f"Version {_dotted(version)} must not run: {product.bad[version]}.", example
    if version < product.floor:
        return (
            f"Version {_dotted(version)} is not safe: {product.reason}.",
            f"Take {_dotted(product.floor)} or newer.",
        )
    return None


def _images(site: Site) -> Iterator[tuple[str, Any]]:
    for name in {**site.options, **site.variables}:
        if name.endswith("_image"):
            yield name, site.get(name)
    for variable in ("stack_services", "stack_overrides"):
        for service, definition in site.mapping(variable).items():
            compose = definition.get("compose") if isinstance(definition, Mapping) else None
            if isinstance(compose, Mapping):
                yield f"{variable}.{service}.compose.image", compose.get("image")


def images(site: Site) -> Iterator[Fault]:
    """Every image is pinned and safe to run."""
    for path, value in _images(site):
        if path == "ollama_image" and is_true(site.get("ollama_allow_insecure_version")):
            continue
        problem = image_problem(text(value)) if text(value) else None
        if problem:
            yield fault(path, value, *problem)


RULES: tuple[Rule, ...] = (images,)
