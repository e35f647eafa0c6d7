# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gpubox.llm.* means the checkout, without anything being installed."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from tests.repository import BIN, MODULES, ROLES, ROOT


def ansible_doc(kind: str, names: list[str]) -> dict[str, Any]:
    done = subprocess.run(
        [BIN / "ansible-doc", "--json", "--type", kind, *(f"gpubox.llm.{name}" for name in names)],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_modules_are_those_of_the_checkout() -> None:
    found = ansible_doc("module", MODULES)
    assert sorted(found) == [f"gpubox.llm.{name}" for name in MODULES]
    for name, page in found.items():
        file = ROOT / "collections/ansible_collections/gpubox/llm/plugins/modules"
        assert page["doc"]["filename"] == str(file / f"{name.rpartition('.')[2]}.py")


def test_roles_are_those_of_the_checkout() -> None:
    found = ansible_doc("role", ROLES)
    assert sorted(found) == [f"gpubox.llm.{name}" for name in ROLES]
    for page in found.values():
        assert page["path"] == str(ROOT / "collections/ansible_collections/gpubox/llm")
        assert page["entry_points"]["main"]["short_description"]
