# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to change so that something is as it is wanted: pure. Private to this collection.

``None`` is not managed: it is neither compared nor sent. An empty text, list or dict is wanted to be empty.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable

__all__ = [
    "Change",
    "Field",
    "PlanError",
    "exact",
    "plan",
    "plan_collection",
    "subset",
    "unordered",
]

SECRET, CHANGED_SECRET = "(secret)", "(secret, changed)"


class PlanError(ValueError):
    """What is wanted cannot be had from what is there; the message says what to do."""


def exact(_current: Any, desired: Any) -> Any:
    """What is wanted and nothing else."""
    return desired


def subset(current: Any, desired: Any) -> Any:
    """What is wanted beside what else is there; for dicts and lists."""
    if isinstance(desired, Mapping) and isinstance(current, Mapping):
        return {**current, **desired}
    if isinstance(desired, Sequence) and isinstance(current, Sequence):
        return [*current, *(item for item in desired if item not in current)]
    return desired


def unordered(current: Any, desired: Any) -> Any:
    """The wanted items in any order."""
    rest = list(current) if isinstance(current, Sequence) else [None]
    for item in desired:
        if item not in rest:
            return desired
        rest.remove(item)
    return desired if rest else current


@dataclass(frozen=True)
class Field:
    """A property that can be managed.

    ``normalize`` gives one form to values that mean the same, on both sides. ``merge`` takes what is there and what is
    wanted, and gives what there shall be: ``exact``, ``subset`` or ``unordered``. An immutable field can only be given
    to what is created. A secret is never shown; one that the server does not tell is sent at creation only.
    """

    name: str
    normalize: Callable[[Any], Any] = lambda value: value
    merge: Callable[[Any, Any], Any] = exact
    secret: bool = False
    immutable: bool = False


@dataclass(frozen=True)
class Change:
    """From ``before`` to ``after``, None being nothing; ``updates`` are the fields to send."""

    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    updates: Mapping[str, Any] = field(default_factory=dict)
    fields: Sequence[Field] = field(default=(), repr=False)

    @property
    def action(self) -> str | None:
        """``create``, ``update``, ``delete`` or, where nothing has to be done, None."""
        if self.before is None:
            return None if self.after is None else "create"
        if self.after is None:
            return "delete"
        return "update" if self.updates else None

    @property
    def changed(self) -> bool:
        """Whether there is something to do."""
        return self.action is not None

    def diff(self) -> dict[str, dict[str, Any]]:
        """Ansible's diff of the managed fields, with no secret in it."""
        return {"before": self._shown(self.before, SECRET), "after": self._shown(self.after)}

    def _shown(
        self, side: Mapping[str, Any] | None, changed: str = CHANGED_SECRET
    ) -> dict[str, Any]:
        def value(one: Field, found: Any) -> Any:
            if not one.secret:
                return found
            return changed if self.before and one.name in self.updates else SECRET

        return {
            one.name: value(one, side[one.name])
            for one in self.fields
            if side is not None and side.get(one.name) is not None
        }


def plan(
    fields: Sequence[Field],
    current: Mapping[str, Any] | None,
    desired: Mapping[str, Any],
    *,
    present: bool = True,
) -> Change:
    """What makes ``current`` (None: it is not there) what is ``desired``; fields of neither side are kept."""
    if not present:
        return Change(current, None, fields=fields)
    wanted = {
        one.name: one.normalize(desired[one.name])
        for one in fields
        if desired.get(one.name) is not None
    }
    if current is None:
        return Change(None, wanted, wanted, fields)
    updates = {}
    for one in fields:
        if one.name not in wanted or (one.secret and one.name not in current):
            continue
        there = current.get(one.name)
        there = None if there is None else one.normalize(there)
        shall_be = one.merge(there, wanted[one.name])
        if shall_be != there:
            _refuse_immutable(one, there, shall_be)
            updates[one.name] = shall_be
    return Change(current, {**current, **updates}, updates, fields)


def _refuse_immutable(one: Field, there: Any, shall_be: Any) -> None:
    if one.immutable:
        values = "" if one.secret else f" from {there!r} to {shall_be!r}"
        raise PlanError(
            f"{one.name} cannot be changed{values}, because it is fixed when the object is made; "
            "remove the object first, or leave the value as it is"
        )


def plan_collection(
    key: str | Callable[[Mapping[str, Any]], Hashable],
    fields: Sequence[Field],
    current: Iterable[Mapping[str, Any]],
    desired: Iterable[Mapping[str, Any]],
    *,
    prune: bool = False,
) -> list[tuple[Hashable, Change]]:
    """A plan for each item by its key, in the order of ``desired``; an item may have ``state: absent``.

    ``prune`` also removes what ``desired`` does not name, in the order of ``current``.
    """
    there, wanted = _by_key(key, current), _by_key(key, desired)
    changes = [
        (name, plan(fields, there.get(name), item, present=item.get("state") != "absent"))
        for name, item in wanted.items()
    ]
    rest = [name for name in there if prune and name not in wanted]
    return [*changes, *((name, plan(fields, there[name], {}, present=False)) for name in rest)]


def _by_key(
    key: str | Callable[[Mapping[str, Any]], Hashable], items: Iterable[Mapping[str, Any]]
) -> dict[Hashable, Mapping[str, Any]]:
    found: dict[Hashable, Mapping[str, Any]] = {}
    for item in items:
        name = item.get(key) if isinstance(key, str) else key(item)
        if name in found:
            raise PlanError(
                f"{name!r} is there twice, so it is not clear which one counts; keep one"
            )
        found[name] = item
    return found
