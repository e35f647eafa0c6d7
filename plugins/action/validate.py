# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks every variable before the first change: on the controller alone, without a call to the host.

The rules are pure and live in ``module_utils/_rules``. This file collects what they look at: the roles' argument specs,
and the host's variables, evaluated one by one, so that a broken one is a fault with a name and not the end of the run.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleAction, AnsibleError, AnsibleValueOmittedError
from ansible.plugins.action import ActionBase
from ansible_collections.gpubox.llm.plugins.module_utils._rules import (
    UNKNOWN,
    Fault,
    did_you_mean,
    faults,
    listing,
    render,
)

try:  # says in which file and line a value was written; not part of Ansible's public interface
    from ansible._internal._datatag._tags import Origin

    _origin: Callable[[Any], Any] = Origin.get_tag
except ImportError:

    def _origin(_value: Any) -> Any:
        return None


ROLES = Path(__file__).parents[2] / "roles"
# What rules need to know of a role besides its variables.
_ROLE_FACTS = ("__reverse_proxy_routes", "__reverse_proxy_service_ports")
_SERVICE = re.compile(r"^__([a-z0-9_]+)_service$")
_MAGIC = (
    "ansible_",
    "hostvars",
    "vars",
    "groups",
    "group_names",
    "inventory_",
    "play_hosts",
    "omit",
)
_PLAIN = (bool, int, float, datetime.date, type(None))
_OMITTED = object()


class ActionModule(ActionBase):
    """Lists every fault in the variables, or says nothing."""

    _requires_connection = False
    _supports_async = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Check, and raise the whole list as one error."""
        result = super().run(tmp, task_vars)
        _given, arguments = self.validate_argument_spec(
            {"roles": {"type": "list", "elements": "str", "default": []}}
        )
        specs = _specs()
        roles = [_role(name, specs) for name in arguments["roles"]]
        variables = {**self._role_variables(specs, task_vars or {}), **(task_vars or {})}
        found, places = self._faults(specs, roles, variables)
        if found:
            # The list is the error, which Ansible shows as it is, and once where several hosts have the same faults;
            # the result repeats only its first line.
            raise AnsibleAction(
                f"{_headline(found)}\n\n{render(found, places)}\n",
                result={"msg": f"{_headline(found)} They are listed above."},
            )
        result["changed"] = False
        return result

    def _faults(
        self, specs: dict[str, Any], roles: list[str], variables: dict[str, Any]
    ) -> tuple[list[Fault], dict[str, str]]:
        known = {name for role in roles or specs for name in specs[role].get("options") or {}}
        evaluation = _Evaluation(self._templar, variables)
        values = {name: evaluation.value(name) for name in {*known, *_ROLE_FACTS} & set(variables)}
        found = faults(
            specs,
            values,
            roles=roles,
            services=[match[1] for name in variables if (match := _SERVICE.match(name))],
            names=_unmentioned(specs, variables),
            broken=evaluation.faults,
        )
        return found, {one.path: _place(one.path, variables) for one in found}

    def _role_variables(
        self, specs: dict[str, Any], task_vars: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Defaults and variables of roles that the play does not list, which a user's templates may refer to."""
        variables: dict[str, Any] = {}
        for role, spec in specs.items():
            if all(
                name in task_vars
                for name, o in (spec.get("options") or {}).items()
                if "default" in o
            ):
                continue
            for kind in ("defaults", "vars"):
                path = ROLES / role / kind / "main.yml"
                if path.exists():
                    variables.update(
                        self._loader.load_from_file(str(path), trusted_as_template=True) or {}
                    )
        return variables


class _Evaluation:
    """Evaluates variables leaf by leaf and keeps what is wrong with each."""

    def __init__(self, templar: Any, variables: Mapping[str, Any]) -> None:
        self.faults: list[Fault] = []
        self._templar = templar
        self._variables = variables
        templar.available_variables = variables

    def value(self, name: str) -> Any:
        """The variable with its templates evaluated; None if it was omitted."""
        found = self._evaluate(name, self._variables[name])
        return None if found is _OMITTED else found

    def _evaluate(self, path: str, raw: Any) -> Any:
        if isinstance(raw, _PLAIN):
            return raw
        if isinstance(raw, Mapping):
            pairs = ((key, self._evaluate(f"{path}.{key}", inner)) for key, inner in raw.items())
            return {key: inner for key, inner in pairs if inner is not _OMITTED}
        if isinstance(raw, (list, tuple)):
            items = (self._evaluate(f"{path}[{index}]", inner) for index, inner in enumerate(raw))
            return [item for item in items if item is not _OMITTED]
        if isinstance(raw, str) and "{" not in raw:
            return raw
        return self._template(path, raw)

    def _template(self, path: str, raw: Any) -> Any:
        try:
            return self._templar.template(raw)
        except AnsibleValueOmittedError:
            return _OMITTED
        except AnsibleError as error:
            return self._broken(path, error)

    def _broken(self, path: str, error: Exception) -> Any:
        undefined = re.search(r"'([^']+)' is undefined", str(error))
        cure = "Correct the template."
        if undefined:
            meant = did_you_mean(undefined[1], self._variables, cutoff=0.8)
            cure = meant or f"Define {undefined[1]}, or correct the name."
        elif re.search(r"vault secret|vault password|decrypt", str(error), re.IGNORECASE):
            cure = "Give the vault's password (--vault-password-file or --ask-vault-pass)."
        self.faults.append(
            Fault(path, "", f"It cannot be evaluated: {str(error).splitlines()[0]}", cure)
        )
        return UNKNOWN


def _specs() -> dict[str, Any]:
    """Role -> the entry point main of its argument specs."""
    specs = {}
    for path in sorted(ROLES.glob("*/meta/argument_specs.yml")):
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        with path.open(encoding="utf-8") as file:
            document = yaml.load(file, Loader=loader)  # noqa: S506 - a safe loader, in C where there is one
        specs[path.parts[-3]] = document["argument_specs"]["main"]
    return specs


def _role(name: str, specs: dict[str, Any]) -> str:
    short = name.removeprefix("gpubox.llm.")
    if short not in specs:
        cure = did_you_mean(short, specs) or f"There are {listing(specs)}."
        raise AnsibleAction(f"validate: roles has {name!r}, and there is no such role. {cure}")
    return short


def _headline(found: list[Fault]) -> str:
    count = "1 fault" if len(found) == 1 else f"{len(found)} faults"
    return f"{count} in the variables; nothing was changed."


def _unmentioned(specs: dict[str, Any], variables: Mapping[str, Any]) -> list[str]:
    """Variables with a prefix of ours that neither a role nor another variable reads."""
    known = {name for spec in specs.values() for name in spec.get("options") or {}}
    prefixes = (*(f"{role}_" for role in specs), "llm_")
    names = [name for name in variables if name.startswith(prefixes) and name not in known]
    if not names:
        return []
    others = (value for name, value in variables.items() if not name.startswith(_MAGIC))
    mentioned = set(re.findall(r"\w+", " ".join(t for value in others for t in _templates(value))))
    return [name for name in names if name not in mentioned]


def _templates(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if "{{" in value or "{%" in value:
            yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _templates(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _templates(inner)


def _place(path: str, variables: Mapping[str, Any]) -> str:
    """File and line of the value at a path, or of the nearest thing around it."""
    value: Any = variables
    place = ""
    for step in re.findall(r"[^.\[\]]+", path):
        try:
            value = value[int(step) if isinstance(value, (list, tuple)) else step]
        except (KeyError, IndexError, ValueError, TypeError):
            break
        place = str(_origin(value) or place)
    return place.removeprefix(f"{Path.cwd()}/")
