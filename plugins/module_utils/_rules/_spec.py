# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Variables against ``meta/argument_specs.yml``: every fault at once, each with the path down to the list item.

Stricter than Ansible where Ansible converts: role variables reach templates as they were written, not as the role's
validation converted them. Values that only ever arrive as text (``--extra-vars``) may still stand for numbers and
truth values. Private to this collection.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from typing import Any, Callable, Optional

from ._fault import UNKNOWN, Fault, did_you_mean, fault, is_secret, listing, number

__all__ = ["BROKEN_SECRET", "SYNONYMS", "check"]

Options = Mapping[str, Mapping[str, Any]]
Problem = Optional[tuple[str, str]]  # reason and cure

# Words of other tools, and what they are called here.
SYNONYMS: Mapping[str, str] = {
    "api_base": "base_url",
    "endpoint": "base_url",
    "url": "base_url",
    "key": "api_key",
    "apikey": "api_key",
    "token": "api_key",
    "model_name": "name",
    "alias": "name",
    "hostname": "host",
    "domain": "host",
    "server_name": "host",
    "backend": "service",
    "upstream": "service",
    "paths": "routes",
    "ratelimit": "rate_limit",
    "rate_limits": "rate_limit",
    "fallback": "fallbacks",
    "default_model": "llm_default_model",
    "llm_model": "llm_models",
    "litellm_model_list": "llm_models",
    "litellm_models": "llm_models",
}

BROKEN_SECRET = (
    "This secret contains a line break or a NUL character.",
    "Write it on one line (check the end of the file or vault entry that it comes from).",
)
_TRUTH = {"true", "false", "yes", "no", "on", "off", "1", "0", "y", "n", "t", "f"}

# How large a number may be, by the end of its name; the first line that fits decides. Nothing here is ever negative.
_RANGES: tuple[tuple[str, float, float | None], ...] = (
    (r"(^|_)port$", 1, 65535),
    (r"(^|_)workers$", 1, 256),
    (r"(^|_)weight$", 1, 1000000),
    (r"(^|_)order$", 1, 1000),
    (r"(^|_)context$", 256, 16777216),
    (r"(^|_)(retries|allowed_fails)$", 0, 100),
    (r"(^|_)(cooldown|ttl)(_seconds)?$", 0, 86400),
    (r"(^|_)timeout$", 0.1, 86400),
    (r"_seconds$", 1, 86400),
    (r"(^|_)(rpm|tpm|max_parallel_requests)$", 1, None),
)


# What YAML makes of text that is not in quotes, and what to say about it.
_NOT_TEXT: tuple[tuple[Any, str], ...] = (
    (bool, "It is a truth value, where text is expected (YAML reads yes, no, on and off as such)."),
    (float, "It is a number, where text is expected; YAML drops digits (1.30 becomes 1.3)."),
    (datetime.date, "It is a date, where text is expected."),
)


def _is_text(value: Any) -> Problem:
    if isinstance(value, str) and "\0" in value:
        return "It contains a NUL character.", "Remove that character."
    for kind, reason in _NOT_TEXT:
        if isinstance(value, kind):
            return reason, "Put it in quotes."
    return None if isinstance(value, (str, int)) else ("It is not text.", "Write one line of text.")


def _is_whole(value: Any) -> Problem:
    found = number(value)
    if found is not None and re.match(r"^\s*[+-]?\d+(\.0)?\s*$", str(value)):
        return None
    return "It is not a whole number.", "Write digits only, without a unit."


def _is_number(value: Any) -> Problem:
    return (
        None
        if number(value) is not None
        else ("It is not a number.", "Write a number, without a unit.")
    )


def _is_truth(value: Any) -> Problem:
    if isinstance(value, bool) or value in (0, 1) or str(value).lower() in _TRUTH:
        return None
    return "It is neither true nor false.", "Write true or false."


def _is_list(value: Any) -> Problem:
    if isinstance(value, (list, tuple)):
        return None
    return "It is not a list.", "Write it as a list: one '- item' a line, or [item, item]."


def _is_mapping(value: Any) -> Problem:
    if isinstance(value, Mapping):
        return None
    return "It is not a mapping.", "Write 'key: value' lines, indented below the name."


_TYPES: Mapping[str, Callable[[Any], Problem]] = {
    "str": _is_text,
    "path": _is_text,
    "int": _is_whole,
    "float": _is_number,
    "bool": _is_truth,
    "list": _is_list,
    "dict": _is_mapping,
}


def check(
    options: Options,
    values: Mapping[str, Any],
    path: str = "",
    spec: Mapping[str, Any] | None = None,
) -> Iterator[Fault]:
    """The faults of ``values`` against ``options``; ``spec`` has the conditions between them (required_if ...)."""
    prefix = f"{path}." if path else ""
    for name, option in options.items():
        value = values.get(name)
        if value is None or (value == "" and option.get("required")):
            if option.get("required"):
                yield fault(
                    f"{prefix}{name}",
                    UNKNOWN,
                    "It is required and not set.",
                    f"Set it: {_described(option)}",
                )
        else:
            yield from _check_value(option, value, f"{prefix}{name}")
    if path:
        for name in values:
            if name not in options:
                yield _unknown_key(f"{prefix}{name}", str(name), options)
    yield from _conditions(spec or {}, options, values, prefix)


def _unknown_key(path: str, name: str, options: Options) -> Fault:
    cure = did_you_mean(name, options, SYNONYMS) or "Remove it, or use one of these names."
    return fault(
        path, UNKNOWN, f"There is no such key here; the keys are {listing(sorted(options))}.", cure
    )


def _described(option: Mapping[str, Any]) -> str:
    description = option.get("description") or "see the role's argument_specs."
    first = description if isinstance(description, str) else str(description[0])
    return re.sub(r"\b[A-Z]+\(([^()]*)\)", r"\1", first.strip().split("\n")[0])


def _check_value(option: Mapping[str, Any], value: Any, path: str) -> Iterator[Fault]:
    if value is UNKNOWN:
        return
    kind = str(option.get("type", "str"))
    secret = bool(option.get("no_log"))
    problem = None
    if isinstance(value, str) and kind in ("str", "raw") and (secret or is_secret(path)):
        problem = _secret_problem(value)
    elif kind in _TYPES:
        problem = _TYPES[kind](value)
    if kind == "bool" and isinstance(value, str) and re.search(r"[.\[]", path):
        # Only the command line can give nothing but text, and it sets whole variables.
        problem = (
            "It is text, and a text counts as true whatever it says.",
            "Write true or false, without quotes.",
        )
    if problem:
        yield fault(path, value, *problem, secret=secret)
        return
    if kind == "list":
        yield from _check_items(option, value, path)
        return
    yield from _check_scalar(option, kind, value, path)
    if kind == "dict" and option.get("options"):
        yield from check(option["options"], value, path, option)


def _check_items(option: Mapping[str, Any], items: Any, path: str) -> Iterator[Fault]:
    item = {
        "type": option.get("elements", "raw"),
        "options": option.get("options"),
        "choices": option.get("choices"),
        "no_log": option.get("no_log"),
        **{name: option[name] for name in _CONDITIONS if name in option},
    }
    for index, value in enumerate(items):
        if value is None:
            yield fault(
                f"{path}[{index}]", value, "This item is empty.", "Write it, or remove the dash."
            )
        else:
            yield from _check_value(item, value, f"{path}[{index}]")


def _check_scalar(option: Mapping[str, Any], kind: str, value: Any, path: str) -> Iterator[Fault]:
    choices = option.get("choices")
    if choices and not any(_same(value, choice) for choice in choices):
        cure = did_you_mean(value, choices, SYNONYMS) or "Use one of them."
        yield fault(
            path,
            value,
            f"It is none of {listing(choices)}.",
            cure,
            secret=bool(option.get("no_log")),
        )
    elif kind in ("int", "float") and not choices:
        yield from _check_range(value, path)


def _same(value: Any, choice: Any) -> bool:
    return (type(value) is type(choice) and value == choice) or str(value) == str(choice)


def _check_range(value: Any, path: str) -> Iterator[Fault]:
    found = number(value)
    name = re.sub(r"\[\d+\]$", "", path).rsplit(".", 1)[-1]
    unlimited: tuple[float, float | None] = (0, None)
    low, high = next(((r[1], r[2]) for r in _RANGES if re.search(r[0], name)), unlimited)
    if found is not None and (found < low or (high is not None and found > high)):
        limits = f"at least {low:,}" if high is None else f"from {low:,} to {high:,}"
        yield fault(path, value, f"It must be {limits}.", "Choose a number in that range.")


def _secret_problem(value: str) -> Problem:
    if re.search(r"[\0\r\n]", value):
        return BROKEN_SECRET
    if value != value.strip():
        return "This secret begins or ends with a space.", "Remove the space."
    return None


# Conditions between options, as argument specs know them.


def _given(values: Mapping[str, Any], name: str) -> bool:
    return values.get(name) not in (None, "")


def _exclusive(group: Any, values: Mapping[str, Any], prefix: str) -> Iterator[Fault]:
    given = [name for name in group if _given(values, name)]
    if len(given) > 1:
        yield fault(
            f"{prefix}{given[1]}",
            UNKNOWN,
            f"It cannot be set together with {given[0]}.",
            "Remove one of the two.",
        )


def _one_of(group: Any, values: Mapping[str, Any], prefix: str) -> Iterator[Fault]:
    if not any(_given(values, name) for name in group):
        yield fault(
            f"{prefix}{group[0]}",
            UNKNOWN,
            f"One of {listing(group)} is required and none is set.",
            "Set one of them.",
        )


def _together(group: Any, values: Mapping[str, Any], prefix: str) -> Iterator[Fault]:
    given = [name for name in group if _given(values, name)]
    for name in group:
        if given and name not in given:
            yield fault(
                f"{prefix}{name}",
                UNKNOWN,
                f"It is required together with {given[0]}.",
                f"Set it, or remove {given[0]}.",
            )


def _required_if(rule: Any, values: Mapping[str, Any], prefix: str) -> Iterator[Fault]:
    name, wanted, names, *any_one = rule
    missing = [other for other in names if not _given(values, other)]
    enough = any(any_one) and len(missing) < len(names)
    if name in values and _same(values[name], wanted) and not enough:
        for other in missing:
            yield fault(
                f"{prefix}{other}",
                UNKNOWN,
                f"It is required where {name} is {wanted}, and not set.",
                "Set it.",
            )


_CONDITIONS: Mapping[str, Callable[[Any, Mapping[str, Any], str], Iterator[Fault]]] = {
    "mutually_exclusive": _exclusive,
    "required_one_of": _one_of,
    "required_together": _together,
    "required_if": _required_if,
}


def _conditions(
    spec: Mapping[str, Any], options: Options, values: Mapping[str, Any], prefix: str
) -> Iterator[Fault]:
    for kind, judge in _CONDITIONS.items():
        for rule in spec.get(kind) or []:
            yield from judge(rule, values, prefix)
