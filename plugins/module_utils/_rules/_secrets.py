# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules about secrets: one line each, and a master key that cannot be guessed. Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ._fault import Fault, fault, is_secret
from ._site import Rule, Site, text

__all__ = ["RULES"]

_KNOWN_KEYS = (
    "sk-1234",
    "sk-12345",
    "sk-123456",
    "your-master-key",
    "sk-your-master-key",
    "changeme",
    "password",
    "secret",
)
_SHORTEST = 20  # characters, sk- included
_FEWEST = 8  # different characters


def master_key(site: Site) -> Iterator[Fault]:
    """The key to everything cannot be guessed."""
    path = "litellm_master_key"
    key = text(site.get(path))
    cure = "Remove the variable (a strong key is then made on the box), or give sk- and at least 32 random characters."
    if not key or key != key.strip():
        return
    if key.lower() in _KNOWN_KEYS:
        yield fault(
            path, key, "It is a well-known example, and the first that an attacker tries.", cure
        )
    elif not key.startswith("sk-"):
        yield fault(path, key, "LiteLLM takes only keys that begin with sk-.", cure)
    elif len(key) < _SHORTEST or len(set(key)) < _FEWEST:
        yield fault(
            path,
            key,
            "It is too easy to guess: fewer than 20 characters, or nearly all the same.",
            cure,
        )


def secrets(site: Site) -> Iterator[Fault]:
    """A secret in a free-form variable is one line, too."""
    for name, option in site.options.items():
        yield from _free_secrets(name, site.variables.get(name), option)


def _free_secrets(path: str, value: Any, option: Mapping[str, Any]) -> Iterator[Fault]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _free_secrets(f"{path}.{key}", inner, option)
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from _free_secrets(f"{path}[{index}]", inner, option)
    elif isinstance(value, str) and is_secret(path) and re.search(r"[\0\r\n]", value):
        yield fault(
            path,
            value,
            "This secret contains a line break or a NUL character.",
            "Write it on one line (check the end of the file or vault entry that it comes from).",
        )


RULES: tuple[Rule, ...] = (master_key, secrets)
