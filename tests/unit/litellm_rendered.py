# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role litellm as the function that it is: variables in, service definition out."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

REPOSITORY = Path(__file__).parents[2]
ROLE = REPOSITORY / "roles" / "litellm"


@cache
def _load(path: str) -> Any:
    return DataLoader().load_from_file(str(ROLE / path), trusted_as_template=True)


def _templar(variables: dict[str, Any]) -> Templar:
    context = _load("defaults/main.yml") | variables | _load("vars/main.yml")
    return Templar(loader=DataLoader(), variables={**context, "role_path": str(ROLE)})


def service(**variables: Any) -> dict[str, Any]:
    """The definition that the role hands over, with ``variables`` set by a user."""
    read_models = _load("tasks/main.yml")[0]["ansible.builtin.set_fact"]
    context = {**variables, **_templar(variables).template(read_models)}
    rendered: dict[str, Any] = _templar(context).template(
        _load("vars/main.yml")["__litellm_service"]
    )
    return rendered


def config(**variables: Any) -> dict[str, Any]:
    """The configuration that LiteLLM gets."""
    parsed: dict[str, Any] = yaml.safe_load(service(**variables)["files"]["config.yaml"])
    return parsed


def secret(expression: str, **variables: Any) -> Any:
    """The value that the stack finds for a secret."""
    return _templar(variables).evaluate_expression(trust_as_template(expression))
