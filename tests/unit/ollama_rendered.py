# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role ollama as the function that it is: variables in, models and a service definition out."""

from __future__ import annotations

from functools import cache
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from tests.repository import ROOT

ROLE = ROOT / "roles" / "ollama"


@cache
def _load(path: str) -> Any:
    return DataLoader().load_from_file(str(ROLE / path), trusted_as_template=True)


def value(name: str, **variables: Any) -> Any:
    """One of the role's own variables, with ``variables`` set by a user."""
    context = _load("defaults/main.yml") | variables | _load("vars/main.yml")
    templar = Templar(loader=DataLoader(), variables=context)
    return templar.template(_load("vars/main.yml")[name])


def compose(**variables: Any) -> dict[str, Any]:
    """The Compose definition that the role hands over."""
    found: dict[str, Any] = value("__ollama_service", **variables)["compose"]
    return found
