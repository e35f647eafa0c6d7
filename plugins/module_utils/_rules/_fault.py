# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with a variable, in the words that a person needs. Private to this collection."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "UNKNOWN",
    "Fault",
    "did_you_mean",
    "fault",
    "is_secret",
    "listing",
    "number",
    "render",
    "shown",
]


class _Unknown:
    """The value of a variable that could not be evaluated: set, but nothing else is known of it."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()

HIDDEN = "(hidden)"
_LONGEST = 60
# Limits "per key" and prices "per token" are none.
_SECRET_NAME = re.compile(
    r"(^|_)(?<!per_)(api)?(key|secret|token|password|passwd|passphrase|credentials?|authorization)$",
    re.IGNORECASE,
)
# What credentials look like, wherever they were pasted by mistake.
_SECRET_VALUE = re.compile(r"\b(sk|gsk|pk|ghp|xoxb|hf|AKIA|Bearer)[-_ ]\S{6,}", re.IGNORECASE)
# Who and with which password, before a host; an image's digest is none.
_URL_USER = re.compile(r"(?<![^/@\s])[^/@\s]+@(?!sha256:)")


@dataclass(frozen=True)
class Fault:
    """One fault: where it is, what is there, why that cannot be, and what to do about it."""

    path: str
    value: str  # as it may be shown; empty where there is nothing to show
    reason: str
    cure: str


def is_secret(path: str) -> bool:
    """Whether the last name of a path is that of a secret."""
    return bool(_SECRET_NAME.search(re.sub(r"\[\d+\]$", "", path).rsplit(".", 1)[-1]))


def shown(value: Any, secret: bool = False) -> str:
    """A value as it may appear on a screen or in a log: short, and never a secret."""
    kinds = (
        (type(UNKNOWN), ""),
        (type(None), "empty"),
        (Mapping, "a mapping"),
        ((list, tuple), "a list"),
    )
    for kind, words in kinds:
        if isinstance(value, kind):
            return words
    text = _URL_USER.sub("***@", str(value))
    if secret or _SECRET_VALUE.search(text):
        return HIDDEN
    if isinstance(value, str):
        text = text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
        return json.dumps(text, ensure_ascii=False)
    return text.lower() if isinstance(value, bool) else text


def fault(path: str, value: Any, reason: str, cure: str, secret: bool = False) -> Fault:
    """A fault whose value is safe to show. ``UNKNOWN`` as value shows none."""
    return Fault(path, shown(value, secret or is_secret(path)), reason, cure)


def did_you_mean(
    written: Any,
    known: Iterable[Any],
    synonyms: Mapping[str, str] | None = None,
    cutoff: float = 0.7,  # names that begin alike need a higher one
) -> str:
    """A question that names the likely intention, or nothing."""
    names = {str(name).lower(): str(name) for name in known}
    words = {word: names[meant] for word, meant in (synonyms or {}).items() if meant in names}
    words.update(names)
    text = str(written).lower()
    swapped = (words[word] for word in words if sorted(word) == sorted(text))  # two letters, mostly
    meant = words.get(text) or next(swapped, None)
    if meant is None and len(text) <= _LONGEST:
        close = difflib.get_close_matches(text, words, n=1, cutoff=cutoff)
        meant = words[close[0]] if close else None
    return f'Did you mean "{meant}"?' if meant is not None else ""


def listing(names: Iterable[Any]) -> str:
    """Names as prose, in the order given."""
    return ", ".join(shown(name).strip('"') for name in names) or "(none)"


def number(value: Any) -> float | None:
    """The number that a value stands for, also when it came as text from the command line."""
    if isinstance(value, bool):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def render(faults: Iterable[Fault], places: Mapping[str, str] | None = None) -> str:
    """All faults as numbered paragraphs; ``places`` says in which file and line a path was written."""
    paragraphs = []
    for count, one in enumerate(faults, start=1):
        place = (places or {}).get(one.path, "")
        lines = [
            f"{count:3}. {one.path}{' is ' + one.value if one.value else ''}",
            one.reason,
            one.cure,
        ]
        lines += [f"({place})"] if place else []
        paragraphs.append("\n     ".join(lines))
    return "\n\n".join(paragraphs)
