# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans: a table of what leads to what, and what holds for any objects whatever."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from ansible_collections.gpubox.llm.plugins.module_utils._reconcile import (
    Change,
    Field,
    PlanError,
    exact,
    plan,
    plan_collection,
    subset,
    unordered,
)

FIELDS = (
    Field("name", normalize=str.lower),
    Field("size", normalize=int),
    Field("labels", merge=subset),
    Field("tags", merge=unordered),
    Field("token", secret=True),
    Field("kind", immutable=True),
)


@pytest.mark.parametrize(
    ("current", "desired", "action", "updates"),
    [
        (None, {"size": 1}, "create", {"size": 1}),
        (None, {}, "create", {}),
        (None, {"size": None, "name": "X"}, "create", {"name": "x"}),
        ({}, {}, None, {}),
        ({"size": 1}, {"size": "1"}, None, {}),
        ({"size": "1"}, {"size": 2}, "update", {"size": 2}),
        ({"size": 1}, {"size": None}, None, {}),
        ({"size": 1}, {}, None, {}),
        ({"size": 1, "foreign": 2}, {"size": 1, "foreign": 3}, None, {}),
        ({"name": "A"}, {"name": "a"}, None, {}),
        ({"labels": {"a": 1, "b": 2}}, {"labels": {"a": 1}}, None, {}),
        ({"labels": {"b": 2}}, {"labels": {"a": 1}}, "update", {"labels": {"a": 1, "b": 2}}),
        ({"labels": {"a": 1}}, {"labels": {}}, None, {}),
        ({"labels": [1, 2]}, {"labels": [2, 3]}, "update", {"labels": [1, 2, 3]}),
        ({}, {"labels": {"a": 1}}, "update", {"labels": {"a": 1}}),
        ({"tags": ["a", "b"]}, {"tags": ["b", "a"]}, None, {}),
        ({"tags": ["a", "a"]}, {"tags": ["a"]}, "update", {"tags": ["a"]}),
        ({"tags": ["a"]}, {"tags": []}, "update", {"tags": []}),
        ({"tags": [{"k": 1}, {"k": 2}]}, {"tags": [{"k": 2}, {"k": 1}]}, None, {}),
        ({}, {"tags": ["a"]}, "update", {"tags": ["a"]}),
        ({}, {"token": "t"}, None, {}),
        ({"token": "s"}, {"token": "t"}, "update", {"token": "t"}),
        ({"kind": "a"}, {"kind": "a"}, None, {}),
        (None, {"kind": "a"}, "create", {"kind": "a"}),
    ],
)
def test_a_plan_sends_what_differs(
    current: Any, desired: Any, action: str | None, updates: Any
) -> None:
    change = plan(FIELDS, current, desired)
    assert (change.action, dict(change.updates)) == (action, updates)
    assert change.changed is (action is not None)


def test_absent_is_a_plan_too() -> None:
    there = plan(FIELDS, {"size": 1}, {"size": 2}, present=False)
    assert (there.action, there.before, there.after) == ("delete", {"size": 1}, None)
    assert plan(FIELDS, None, {"size": 2}, present=False).action is None


def test_what_cannot_be_changed_is_an_error_with_both_values() -> None:
    with pytest.raises(PlanError, match=r"kind cannot be changed from 'a' to 'b'.*remove"):
        plan(FIELDS, {"kind": "a"}, {"kind": "b"})
    secret = (Field("pin", immutable=True, secret=True),)
    with pytest.raises(PlanError) as raised:
        plan(secret, {"pin": "1111"}, {"pin": "2222"})
    assert "1111" not in str(raised.value)
    assert "2222" not in str(raised.value)


@pytest.mark.parametrize(
    ("current", "desired", "before", "after"),
    [
        (None, {"size": 1, "token": "t"}, {}, {"size": 1, "token": "(secret)"}),
        (
            {"size": 1, "token": "t"},
            {"size": 2, "token": "t"},
            {"size": 1, "token": "(secret)"},
            {"size": 2, "token": "(secret)"},
        ),
        (
            {"token": "s", "api_key": "sk-1"},
            {"token": "t"},
            {"token": "(secret)"},
            {"token": "(secret, changed)"},
        ),
    ],
)
def test_a_diff_shows_fields_and_of_secrets_only_that_they_change(
    current: Any, desired: Any, before: Any, after: Any
) -> None:
    assert plan(FIELDS, current, desired).diff() == {"before": before, "after": after}


def test_a_removal_shows_what_goes() -> None:
    change = plan(FIELDS, {"size": 1, "token": "t", "id": 7}, {}, present=False)
    assert change.diff() == {"before": {"size": 1, "token": "(secret)"}, "after": {}}


def test_a_collection_is_a_plan_for_each_key() -> None:
    current = [{"name": "a", "size": 1}, {"name": "b", "size": 2}, {"name": "c", "size": 3}]
    desired: list[dict[str, Any]] = [
        {"name": "d", "size": 4},
        {"name": "b", "size": 5},
        {"name": "a", "size": 1},
        {"name": "nowhere", "state": "absent"},
    ]

    def actions(**options: Any) -> list[tuple[Any, str | None]]:
        changes = plan_collection("name", FIELDS, current, desired, **options)
        return [(key, change.action) for key, change in changes]

    named = [("d", "create"), ("b", "update"), ("a", None), ("nowhere", None)]
    assert actions() == named
    assert actions(prune=True) == [*named, ("c", "delete")]


def test_a_key_can_be_worked_out() -> None:
    changes = plan_collection(
        lambda item: item["name"].lower(), FIELDS, [{"name": "A"}], [{"name": "a"}], prune=True
    )
    assert [(key, change.action) for key, change in changes] == [("a", None)]


def test_a_key_that_is_there_twice_is_an_error() -> None:
    twice: list[dict[str, Any]] = [{"name": "a"}, {"name": "a", "size": 1}]
    with pytest.raises(PlanError, match="'a' is there twice"):
        plan_collection("name", FIELDS, [], twice)
    with pytest.raises(PlanError, match="'a' is there twice"):
        plan_collection("name", FIELDS, twice, [])


# Any objects whatever

ANY = (
    Field("size", normalize=int),
    Field("name", normalize=str.lower),
    Field("labels", merge=subset),
    Field("tags", merge=unordered),
    Field("list", merge=exact),
)


def objects(count: int = 400) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Pairs of what is there and what is wanted, the same in every run."""
    chance = random.Random(4)

    def one() -> dict[str, Any]:
        some = {
            "size": chance.choice([0, 1, "1", 2]),
            "name": chance.choice(["", "a", "A", "b"]),
            "labels": {
                key: chance.randint(0, 1) for key in chance.sample("abc", chance.randint(0, 3))
            },
            "tags": [chance.choice("abc") for _unused in range(chance.randint(0, 3))],
            "list": [chance.choice("abc") for _unused in range(chance.randint(0, 2))],
            "foreign": chance.random(),
        }
        kept = {key: value for key, value in some.items() if chance.random() < 0.8}
        return {key: None if chance.random() < 0.1 else value for key, value in kept.items()}

    for _unused in range(count):
        yield one(), one()


def managed(item: Mapping[str, Any]) -> set[str]:
    return {field.name for field in ANY if item.get(field.name) is not None}


def test_what_was_applied_needs_no_second_change() -> None:
    for current, desired in objects():
        after = plan(ANY, current, desired).after
        assert not plan(ANY, after, desired).changed
        made = plan(ANY, None, desired).after
        assert not plan(ANY, made, desired).changed


def test_only_what_is_managed_changes() -> None:
    for current, desired in objects():
        change = plan(ANY, current, desired)
        assert set(change.updates) <= managed(desired)
        assert change.after == {**current, **change.updates}


def test_a_plan_leaves_what_it_is_given_alone() -> None:
    for current, desired in objects():
        copies = repr((current, desired))
        plan(ANY, current, desired)
        assert repr((current, desired)) == copies


def test_nothing_changes_where_the_diff_is_empty_and_the_other_way_round() -> None:
    for current, desired in objects():
        change = plan(ANY, current, desired)
        diff = change.diff()
        if not change.changed:
            assert diff["before"] == diff["after"]
        for name in change.updates:
            assert diff["before"].get(name) != diff["after"].get(name)


def test_what_is_pruned_and_made_again_is_the_same_collection() -> None:
    for one, other in objects(100):
        current, desired = [{**one, "key": 1}], [{**other, "key": 2}]
        changes = dict(plan_collection("key", ANY, current, desired, prune=True))
        left = [change.after for change in changes.values() if change.after is not None]
        assert [change.action for change in changes.values()] == ["create", "delete"]
        again = plan_collection(
            "key", ANY, [{**item, "key": 2} for item in left], desired, prune=True
        )
        assert not any(change.changed for _key, change in again)


def test_a_change_shows_no_fields_when_printed() -> None:
    assert "Field" not in repr(Change(None, {}, {}, FIELDS))
