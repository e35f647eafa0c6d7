# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checker of argument specs, what a fault looks like, and that nothing makes it stumble or talk."""

from __future__ import annotations

import datetime
import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml
from ansible_collections.gpubox.llm.plugins.module_utils._rules import (
    RULES,
    UNKNOWN,
    Fault,
    faults,
    render,
)

from tests.unit.validate_site import KEY, ROOT, SPECS, found, site

SPEC = {
    "options": {
        "box_name": {
            "type": "str",
            "required": True,
            "description": ["Name of the box, see O(box_port)."],
        },
        "box_port": {"type": "int"},
        "box_share": {"type": "float"},
        "box_open": {"type": "bool"},
        "box_mode": {"type": "str", "choices": ["fast", "safe"]},
        "box_level": {"type": "int", "choices": [1, 2]},
        "box_tags": {"type": "list", "elements": "str"},
        "box_modes": {"type": "list", "elements": "str", "choices": ["fast", "safe"]},
        "box_free": {"type": "dict"},
        "box_any": {"type": "raw"},
        "box_pin": {"type": "str", "no_log": True},
        "box_disks": {
            "type": "list",
            "elements": "dict",
            "options": {
                "path": {"type": "path", "required": True},
                "kind": {"type": "str", "choices": ["ssd", "disk"]},
                "cache": {"type": "dict", "options": {"size": {"type": "int", "required": True}}},
                "a": {"type": "str"},
                "b": {"type": "str"},
                "c": {"type": "str"},
            },
            "mutually_exclusive": [["a", "b"]],
            "required_together": [["b", "c"]],
            "required_if": [["kind", "ssd", ["cache"]]],
        },
        "box_login": {
            "type": "dict",
            "options": {"user": {"type": "str"}, "group": {"type": "str"}},
            "required_one_of": [["user", "group"]],
        },
    }
}
D = "box_disks[0]"

# fmt: off
CASES: list[tuple[dict[str, Any], str, str, str]] = [
    ({"box_name": None}, "box_name", "required", "Name of the box, see box_port."),
    ({"box_name": ""}, "box_name", "required", "Set it"),
    ({"box_name": ["x"]}, "box_name", "not text", "one line"),
    ({"box_name": {"x": 1}}, "box_name", "not text", "one line"),
    ({"box_name": True}, "box_name", "truth value", "quotes"),
    ({"box_name": 1.30}, "box_name", "1.30 becomes 1.3", "quotes"),
    ({"box_name": datetime.date(2024, 10, 21)}, "box_name", "a date", "quotes"),
    ({"box_name": "a\0b"}, "box_name", "NUL", "Remove"),
    ({"box_port": "eighty"}, "box_port", "whole number", "digits"),
    ({"box_port": ""}, "box_port", "whole number", "digits"),
    ({"box_port": 80.5}, "box_port", "whole number", "digits"),
    ({"box_port": True}, "box_port", "whole number", "digits"),
    ({"box_port": "8e1"}, "box_port", "whole number", "digits"),
    ({"box_port": -1}, "box_port", "from 1 to 65,535", "range"),
    ({"box_share": "half"}, "box_share", "not a number", "without a unit"),
    ({"box_share": float("nan")}, "box_share", "not a number", "without a unit"),
    ({"box_share": -0.1}, "box_share", "at least 0", "range"),
    ({"box_open": "maybe"}, "box_open", "neither true nor false", "true or false"),
    ({"box_open": 2}, "box_open", "neither true nor false", "true or false"),
    ({"box_mode": "fats"}, "box_mode", "none of fast, safe", 'mean "fast"'),
    ({"box_mode": "SAFE"}, "box_mode", "none of fast, safe", 'mean "safe"'),
    ({"box_mode": "quick"}, "box_mode", "none of fast, safe", "one of them"),
    ({"box_level": 3}, "box_level", "none of 1, 2", "one of them"),
    ({"box_tags": "a,b"}, "box_tags", "not a list", "- item"),
    ({"box_tags": {"a": 1}}, "box_tags", "not a list", "- item"),
    ({"box_tags": ["a", ["b"]]}, "box_tags[1]", "not text", "one line"),
    ({"box_tags": ["a", None]}, "box_tags[1]", "empty", "dash"),
    ({"box_modes": ["fast", "save"]}, "box_modes[1]", "none of", 'mean "safe"'),
    ({"box_free": "a=b"}, "box_free", "not a mapping", "key: value"),
    ({"box_free": [1]}, "box_free", "not a mapping", "key: value"),
    ({"box_disks": [{"path": "/x"}, {}]}, "box_disks[1].path", "required", "Set it"),
    ({"box_disks": [{"path": "/x", "kind": "disc"}]}, f"{D}.kind", "none of", 'mean "disk"'),
    ({"box_disks": [{"path": "/x", "cache": {}}]}, f"{D}.cache.size", "required", "Set it"),
    ({"box_disks": [{"path": "/x", "cache": {"size": "x"}}]}, f"{D}.cache.size", "whole number", "digits"),
    (
        {"box_disks": [{"path": "/x", "cache": {"size": 1, "sise": 1}}]},
        f"{D}.cache.sise",
        "no such key",
        'mean "size"',
    ),
    ({"box_disks": [{"path": "/x", 5: 1}]}, f"{D}.5", "no such key", "one of these"),
    ({"box_disks": [{"path": "/x", "a": "1", "b": "1", "c": "1"}]}, f"{D}.b", "together with a", "Remove one"),
    ({"box_disks": [{"path": "/x", "b": "1"}]}, f"{D}.c", "together with b", "remove b"),
    ({"box_disks": [{"path": "/x", "kind": "ssd"}]}, f"{D}.cache", "where kind is ssd", "Set it"),
    ({"box_login": {}}, "box_login.user", "One of user, group", "one of them"),
    ({"box_pin": f"{KEY}\n"}, "box_pin", "line break", "one line"),
    ({"box_pin": f"{KEY} "}, "box_pin", "space", "Remove"),
]
# fmt: on


@pytest.mark.parametrize(("wrong", "path", "reason", "cure"), CASES)
def test_a_wrong_value_is_one_fault_with_path_reason_and_cure(
    wrong: dict[str, Any], path: str, reason: str, cure: str
) -> None:
    every = faults({"box": SPEC}, {"box_name": "x", **wrong})
    assert [one.path for one in every] == [path]
    assert reason in every[0].reason
    assert cure in every[0].cure
    assert KEY not in str(every)


@pytest.mark.parametrize(
    "good",
    [
        {"box_name": 7},
        {"box_port": "80", "box_share": "0.5", "box_open": "yes", "box_level": "1"},
        {"box_open": 1, "box_share": 1, "box_any": object(), "box_free": {"a": {"b": []}}},
        {"box_tags": [], "box_disks": [{"path": "/x", "kind": None, "a": ""}]},
        {
            "box_port": UNKNOWN,
            "box_tags": ["a", UNKNOWN],
            "box_disks": [UNKNOWN],
            "box_free": UNKNOWN,
        },
        {"other_variable": 5, "boxer": 1},
    ],
)
def test_a_good_value_is_no_fault(good: dict[str, Any]) -> None:
    assert faults({"box": SPEC}, {"box_name": "x", **good}) == []


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("box_prot", 'mean "box_port"'),
        ("box_colour", "another prefix"),
        ("llm_modles", "another prefix"),
        ("box_portal_colour", "another prefix"),
        ("litellm_modles", ""),
        ("__box_x", ""),
        ("mybox_port", ""),
    ],
)
def test_a_variable_with_our_prefix_that_nobody_reads_is_a_fault(name: str, cure: str) -> None:
    every = faults({"box": SPEC}, {"box_name": "x"}, names=[name])
    assert [one.path for one in every] == ([name] if cure else [])
    assert all(cure in one.cure for one in every)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("litellm_modles", "llm_models"),
        ("litellm_model_list", "llm_models"),
        ("llm_modles", "llm_models"),
    ],
)
def test_a_slip_in_a_variable_of_the_models_is_understood(name: str, meant: str) -> None:
    assert [one.cure for one in found(site(), names=[name])] == [f'Did you mean "{meant}"?']


def test_only_the_chosen_roles_are_checked() -> None:
    specs: dict[str, Any] = {
        "box": SPEC,
        "other": {"options": {"other_port": {"type": "int", "required": True}}},
    }
    assert [one.path for one in faults(specs, {}, roles=["other"])] == ["other_port"]


def test_a_fault_that_was_found_before_is_listed_in_its_place() -> None:
    broken = Fault("box_open", "", "It cannot be evaluated.", "Define x.")
    every = faults(
        {"box": SPEC}, {"box_name": "", "box_port": 0, "box_open": UNKNOWN}, broken=[broken]
    )
    assert [one.path for one in every] == ["box_name", "box_open", "box_port"]


def test_items_are_in_the_order_of_their_numbers() -> None:
    every = faults(
        {"box": SPEC}, {"box_name": "x", "box_tags": ["a"] * 2 + [None] + ["a"] * 7 + [None]}
    )
    assert [one.path for one in every] == ["box_tags[2]", "box_tags[10]"]


def test_a_fault_reads_as_a_paragraph_with_its_place() -> None:
    every = faults({"box": SPEC}, {"box_name": "x", "box_mode": "fats"})
    assert render(every, {"box_mode": "group_vars/all.yml:3:5"}) == (
        '  1. box_mode is "fats"\n'
        "     It is none of fast, safe.\n"
        '     Did you mean "fast"?\n'
        "     (group_vars/all.yml:3:5)"
    )


@pytest.mark.parametrize(
    "path",
    [
        "api_key", "x.api_key", "deployments[0].aws_secret_access_key", "master_key", "pass.password", "auth_token",
        "OPENAI_API_KEY", "private_key", "bot_token", "x.apikey",
    ],
)  # fmt: skip
def test_what_is_named_like_a_secret_is_never_shown(path: str) -> None:
    variable = path.replace(".", "_").replace("[", "_").replace("]", "")
    spec = {"options": {variable: {"type": "str", "choices": ["a"]}}}
    every = faults({"box": spec}, {variable: KEY})
    assert [one.value for one in every] == ["(hidden)"]


@pytest.mark.parametrize(
    "value", [f"sk-{KEY}", f"Bearer {KEY}", f"gsk_{KEY}", f"http://u:{KEY}@h/", f"u:{KEY}@h"]
)
def test_a_secret_that_was_pasted_into_another_place_is_not_shown(value: str) -> None:
    every = found(site(reverse_proxy_log_level=value, stack_project=value, llm_default_model=value))
    assert len(every) >= 2
    assert KEY not in render(every)


def test_a_long_value_is_shown_short() -> None:
    (only,) = found(site(stack_project="A" * 65536))
    assert len(only.value) < 70


# The roles' own specs.


def test_every_role_has_a_spec_that_can_be_read() -> None:
    assert set(SPECS) >= {"docker_host", "litellm", "local_images", "reverse_proxy", "stack"}


@pytest.mark.parametrize("role", sorted(SPECS))
def test_the_defaults_of_a_role_are_good(role: str) -> None:
    defaults = yaml.safe_load((ROOT / "roles" / role / "defaults" / "main.yml").read_text()) or {}
    templated = {name for name, value in defaults.items() if "{{" in str(value)}
    variables = {name: UNKNOWN if name in templated else value for name, value in defaults.items()}
    assert found(site(**variables), roles=[role]) == []


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("inventories/*/group_vars/all/main.yml")), ids=str
)
def test_the_inventories_are_good(path: Any) -> None:
    assert found({**site(), **yaml.safe_load(path.read_text())}) == []


def _examples() -> list[Any]:
    """Every YAML block of the pages that sets variables of ours."""
    known = {name for spec in SPECS.values() for name in spec.get("options") or {}}
    pages = [
        ROOT / "README.md",
        *sorted(ROOT.glob("docs/**/*.md")),
        *sorted(ROOT.glob("roles/*/README.md")),
    ]
    blocks = [
        (page.relative_to(ROOT), yaml.safe_load(block))
        for page in pages
        for block in re.findall(r"```ya?ml\n(.*?)```", page.read_text(), re.DOTALL)
    ]
    return [
        (page, block) for page, block in blocks if isinstance(block, dict) and known & set(block)
    ]


def _evaluated(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _evaluated(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_evaluated(inner) for inner in value]
    return UNKNOWN if "{{" in str(value) else value


@pytest.mark.parametrize(("page", "block"), _examples())
def test_what_the_pages_tell_people_to_write_is_good(page: Any, block: dict[str, Any]) -> None:
    ours = tuple(block)
    every = found({**site(), **_evaluated(block)}, names=ours)
    assert [one for one in every if one.path.startswith(ours)] == [], page


def _leaves(
    options: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every option of a spec, with the names that lead to it."""
    for name, option in options.items():
        yield (*path, name), option
        yield from _leaves(option.get("options") or {}, (*path, name))


def _wrong(kind: str) -> list[Any]:
    """Values that cannot be of this type."""
    return {
        "str": [[1], {"a": 1}, False, 1.5],
        "path": [[1], {"a": 1}, True, 1.5],
        "int": ["many", [1], {"a": 1}, 1.5, True],
        "float": ["many", [1], {"a": 1}, False],
        "bool": ["perhaps", [1], {"a": 1}, 7],
        "list": ["a", 1, {"a": 1}, True],
        "dict": ["a", 1, [1], True],
    }.get(kind, [])


def _nested(options: Mapping[str, Any], path: tuple[str, ...], value: Any) -> tuple[Any, str]:
    """A variable that holds the value at a path, and the path as a fault writes it."""
    name, *rest = path
    if not rest:
        return value, name
    inner, where = _nested(options[name].get("options") or {}, tuple(rest), value)
    listed = options[name].get("type") == "list"
    return (
        [{rest[0]: inner}] if listed else {rest[0]: inner}
    ), f"{name}{'[0]' if listed else ''}.{where}"


MUTATIONS = [
    (role, path, value)
    for role, spec in SPECS.items()
    for path, option in _leaves(spec.get("options") or {})
    for value in _wrong(option.get("type", "str"))
]


def test_every_option_of_every_role_refuses_what_is_not_of_its_type() -> None:
    """The bad inputs are counted from the specs: a new option is a new test."""
    missed = []
    for role, path, value in MUTATIONS:
        variable, where = _nested(SPECS[role]["options"], path, value)
        every = {one.path: one for one in found(site(**{path[0]: variable}))}
        if where not in every or not every[where].reason or not every[where].cure:
            missed.append((where, value))
    assert missed == []
    assert len(MUTATIONS) >= 300


def test_every_nested_mapping_refuses_an_unknown_key() -> None:
    for spec in SPECS.values():
        for path, option in _leaves(spec.get("options") or {}):
            if option.get("options"):
                variable, where = _nested(spec["options"], (*path, "no_such_key_here"), 1)
                paths = [one.path for one in found(site(**{path[0]: variable}))]
                assert where in paths


ATOMS: list[Any] = [
    None, True, 0, -1, 1.5, float("nan"), "", " ", "x", "default", "{}", "\0", "sk-1234", "http://[", "::1", "a:b:c@d",
    "/", "*", "9" * 400, datetime.date(2024, 1, 1), b"bytes", UNKNOWN,
]  # fmt: skip


def _anything(chance: random.Random, depth: int = 3) -> Any:
    kind = chance.random()
    if depth == 0 or kind < 0.5:
        return chance.choice(ATOMS)
    if kind < 0.7:
        return [_anything(chance, depth - 1) for _turn in range(chance.randrange(4))]
    keys = [
        "name",
        "provider",
        "deployments",
        "compose",
        "image",
        "ports",
        "subnet",
        "host",
        "routes",
        "path",
        3,
    ]
    return {
        chance.choice(keys): _anything(chance, depth - 1) for _turn in range(chance.randrange(4))
    }


@pytest.mark.parametrize("seed", range(40))
def test_nothing_makes_the_rules_stumble(seed: int) -> None:
    """Any variable may hold anything: the answer is a list of faults with words in them."""
    chance = random.Random(seed)
    names = sorted({name for spec in SPECS.values() for name in spec.get("options") or {}})
    for _turn in range(25):
        chosen = chance.sample(names, 6)
        variables = site(**{name: _anything(chance) for name in chosen})
        for one in found(variables):
            assert one.path and one.reason.endswith((".", "?", ":")), one
            assert one.cure


def test_every_rule_says_what_it_demands() -> None:
    assert all(rule.__doc__ for rule in RULES)
    assert len({rule.__name__ for rule in RULES}) >= 25
