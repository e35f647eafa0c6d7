# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The list of models as the user wrote it, read and checked: pure. Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable

from ansible_collections.gpubox.llm.plugins.module_utils._ollama import create
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.names import Name, OllamaError

__all__ = ["Wanted", "read"]

RECIPE = ("system", "template", "parameters", "adapters", "quantize")
DIGEST = re.compile(r"(sha256:)?[0-9a-f]{64}", re.IGNORECASE)
DURATION = re.compile(r"-?\d+|[-+]?(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))+")


@dataclass(frozen=True)
class Wanted:
    """One model of the list."""

    name: Name
    state: str = "present"  # present, latest or absent
    digest: str = ""  # what it is pinned to, 64 digits
    base: Name | None = None  # the model that it is created from
    loaded: bool | None = None
    options: Mapping[str, Any] = field(default_factory=dict)  # as the user wrote them

    @property
    def source(self) -> str:
        """What it is created from, in words; empty if it comes from a registry."""
        return str(self.base or self.options.get("file") or "")

    @property
    def is_pulled(self) -> bool:
        """Whether it comes from a registry."""
        return self.state != "absent" and not self.source and not self.name.is_cloud


def read(
    models: Iterable[Mapping[str, Any]], refusal: Callable[[Name], str] = lambda name: ""
) -> list[Wanted]:
    """The list, each model after the one that it is created from; OllamaError names every fault of every model.

    ``refusal`` says why a model may not be pulled, or nothing.
    """
    faults: list[str] = []
    found: dict[Name, Wanted] = {}
    for options in models:
        said = list(_faults(options))
        faults.extend(_told(options["name"], text) for text in said)
        if not said:
            model = _wanted(options)
            if model.name in found:
                faults.append(
                    f"{options['name']}: the list has this model already, as {found[model.name].options['name']}. "
                    "Name it once."
                )
            found.setdefault(model.name, model)
    if not faults:
        found = _in_order(found, faults)
    bases = (m.base for m in found.values() if m.base and m.state != "absent")
    pulled = {m.name: None for m in found.values() if m.is_pulled}
    pulled.update({base: None for base in bases if base not in found and not base.is_cloud})
    faults.extend(filter(None, map(refusal, pulled)))
    if faults:
        raise OllamaError("\n".join(faults))
    return list(found.values())


def _told(name: str, text: str) -> str:
    """A fault with the model's name before it, unless it begins with that."""
    return f"{text}." if text.startswith(repr(name)) else f"{name}: {text}."


def _wanted(options: Mapping[str, Any]) -> Wanted:
    return Wanted(
        name=Name.parse(options["name"]),
        state=options.get("state") or "present",
        digest=str(options.get("digest") or "").lower().rpartition(":")[2],
        base=Name.parse(options["from"]) if options.get("from") else None,
        loaded=options.get("loaded"),
        options=options,
    )


def _in_order(found: Mapping[Name, Wanted], faults: list[str]) -> dict[Name, Wanted]:
    """Every model after the one that it is created from, which is added if the list does not have it."""
    ordered: dict[Name, Wanted] = {}

    def add(model: Wanted, above: tuple[Name, ...]) -> None:
        if model.name in above:
            faults.append(f"{model.name}: it is created from itself. Break the circle.")
            return
        if model.base and model.state != "absent":
            base = found.get(model.base) or Wanted(model.base, options={"name": str(model.base)})
            if base.state == "absent":
                faults.append(
                    f"{model.name}: it is created from {base.name}, which is absent. Keep that, or remove both."
                )
            add(base, (*above, model.name))
        ordered.setdefault(model.name, model)

    for model in found.values():
        if model.name not in ordered:
            add(model, ())
    return ordered


# -- what is wrong with one model ------------------------------------------------------------------------------


def _has(options: Mapping[str, Any], *names: str) -> bool:
    return any(options.get(name) is not None for name in names)


def _made(options: Mapping[str, Any]) -> bool:
    return bool(options.get("from") or options.get("file"))


RULES: Sequence[tuple[Callable[[Mapping[str, Any]], bool], str]] = (
    (
        lambda o: bool(o.get("from") and o.get("file")),
        "from and file exclude each other. Give one of them",
    ),
    (
        lambda o: not _made(o) and _has(o, *RECIPE),
        f"{', '.join(RECIPE)} say how a model is created. Give from or file, too",
    ),
    (
        lambda o: _made(o) and o.get("state") == "latest",
        "latest is for models of a registry. A created model is present or absent",
    ),
    (
        lambda o: _made(o) and _has(o, "digest"),
        "a created model has a digest of its own, which nobody can know before. Pin what it is created from",
    ),
    (
        lambda o: o.get("state") == "latest" and _has(o, "digest"),
        "a model is pinned or the latest, not both. Leave out digest or latest",
    ),
    (
        lambda o: o.get("state") == "absent" and bool(o.get("loaded")),
        "what is absent cannot be loaded. Leave out loaded",
    ),
    (
        lambda o: _has(o, "digest") and not DIGEST.fullmatch(str(o["digest"])),
        "digest is no SHA-256. Write sha256: and 64 digits",
    ),
    (
        lambda o: _has(o, "keep_alive") and not DURATION.fullmatch(str(o["keep_alive"])),
        "keep_alive is no duration. Write seconds or something like 90m or 24h; -1 is for ever",
    ),
    (
        lambda o: Name.of(o["name"]).is_cloud and (_made(o) or _has(o, "digest", "loaded")),
        "a cloud model is not on this server. Leave out digest, from, file and loaded",
    ),
)


def _faults(options: Mapping[str, Any]) -> Iterator[str]:
    for text in filter(None, (options["name"], options.get("from"))):
        try:
            Name.parse(text)
        except OllamaError as error:
            yield str(error)
    if not options["name"]:
        yield "a model needs a name"
    yield from (text for broken, text in RULES if broken(options))
    try:
        create.parameters(options.get("parameters") or {})
    except OllamaError as error:
        yield str(error).rstrip(".")
