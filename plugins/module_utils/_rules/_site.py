# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the rules look at: one host's variables, read without stumbling over wrong types.

Private to this collection.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Callable

from ._fault import UNKNOWN, Fault

__all__ = ["NAME", "Rule", "Site", "first", "given", "is_true", "items", "strings", "text"]

# What Compose takes as the name of a project or service.
NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,62}\Z")


@dataclass(frozen=True)
class Site:
    """One host's variables, and what the roles say about them."""

    options: Mapping[str, Mapping[str, Any]]  # variable -> its option in an argument spec
    variables: Mapping[str, Any]
    services: frozenset[str] = field(default_factory=frozenset)  # services that roles describe

    def get(self, name: str) -> Any:
        """The variable's value, else its documented default."""
        value = self.variables.get(name)
        if value is None:
            value = self.options.get(name, {}).get("default")
            return (
                None if "{{" in text(value) else value
            )  # made of other variables: no value by itself
        return value

    def mapping(self, name: str) -> Mapping[str, Any]:
        """The variable if it is a mapping, else an empty one."""
        value = self.get(name)
        return value if isinstance(value, Mapping) else {}

    @property
    def all_services(self) -> list[str]:
        """Every service that could be on the box: those of roles, and the user's own."""
        return sorted(self.services | set(map(str, self.mapping("stack_services"))))


Rule = Callable[[Site], Iterator[Fault]]


def items(value: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Path and content of every mapping in a list; what is of another type was reported already."""
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            if isinstance(item, Mapping):
                yield f"{path}[{index}]", item


def strings(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Path and content of every non-empty text in a list."""
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            if isinstance(item, str) and item:
                yield f"{path}[{index}]", item


def text(value: Any) -> str:
    """The value if it is text, else an empty one."""
    return value if isinstance(value, str) else ""


def given(value: Any) -> bool:
    """Whether something was set; what could not be evaluated was set."""
    return value is UNKNOWN or value not in (None, "", [], {})


def is_true(value: Any) -> bool:
    """Whether a truth value is true in any spelling."""
    return str(value).lower() in ("true", "yes", "on", "1", "y", "t")


def first(*values: Any) -> Any | None:
    """The first value that was set."""
    return next((value for value in values if given(value)), None)
