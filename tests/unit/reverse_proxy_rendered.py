# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role reverse_proxy as the function that it is: variables in, service definition out."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

REPOSITORY = Path(__file__).parents[2]
ROLE = REPOSITORY / "roles" / "reverse_proxy"


@cache
def load(path: str) -> Any:
    return DataLoader().load_from_file(str(ROLE / path), trusted_as_template=True)


def rendered(expression: str = "__reverse_proxy_service", **variables: Any) -> Any:
    """What ``expression`` comes to in the role's context, with ``variables`` set by a user."""
    context = load("defaults/main.yml") | variables | load("vars/main.yml")
    context["role_path"] = str(ROLE)
    templar = Templar(loader=DataLoader(), variables=context)
    return templar.template(load("vars/main.yml")[expression])


def site(**differences: Any) -> dict[str, Any]:
    """A site that a test can vary."""
    return {"host": "llm.example.com", "service": "litellm", **differences}
