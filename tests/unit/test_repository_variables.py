# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user sets for all hosts is what every role reads, whatever lies beside the playbooks."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.repository import BIN, ROLES, ROOT, options

# Ansible's own loader and variable manager, asked as ansible-playbook asks them just before each task.
READER = """
import json, sys
from ansible import context
from ansible.module_utils.common.collections import ImmutableDict
context.CLIARGS = ImmutableDict(syntax=False, start_at_task=None, tags=("all",), skip_tags=())
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader()
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook import Playbook
from ansible.vars.manager import VariableManager

inventory_path, names = sys.argv[1], sys.argv[2:]
loader = DataLoader()
loader.set_basedir("playbooks")
inventory = InventoryManager(loader=loader, sources=[inventory_path])
variables = VariableManager(loader=loader, inventory=inventory)
host = inventory.get_host("box")
seen = {}
for play in Playbook.load("playbooks/site.yml", variable_manager=variables, loader=loader).get_plays():
    for block in play.compile():
        for task in block.block:
            if task._role is None:
                continue
            known = variables.get_vars(play=play, host=host, task=task)
            read = seen.setdefault(task._role.get_name(), {})
            read.update({name: known.get(name) for name in names})
print(json.dumps(seen, default=str))
"""


@pytest.fixture(scope="module")
def wanted() -> dict[str, str]:
    """Every public variable of every role, with a value that nothing else gives it."""
    return {name: f"the user's {name}" for role in ROLES for name in options(role)}


@pytest.fixture(scope="module")
def read(wanted: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same variables by role, as the roles of the site's play read them."""
    inventory = tmp_path_factory.mktemp("inventory")
    (inventory / "hosts.yml").write_text("all: {hosts: {box: {}}}\n")
    (inventory / "group_vars" / "all").mkdir(parents=True)
    (inventory / "group_vars" / "all" / "main.yml").write_text(yaml.safe_dump(wanted))
    out = run_reader(inventory, wanted)
    return {name.rpartition(".")[2]: values for name, values in json.loads(out).items()}


def run_reader(inventory: Path, names: dict[str, str]) -> str:
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    command = [str(BIN / "python"), "-c", READER, str(inventory), *names]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_site_runs_every_role(read: dict[str, Any]) -> None:
    assert sorted(read) == ROLES


@pytest.mark.parametrize("role", ROLES)
def test_every_public_variable_reaches_the_role_as_the_inventory_set_it(
    role: str, wanted: dict[str, str], read: dict[str, Any]
) -> None:
    assert read[role] == wanted
