# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests about the repository itself know of it: its files, roles and modules."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv/bin"
# What the collection consists of; collections/ links to these.
ROOMS = ("galaxy.yml", "meta", "playbooks", "plugins", "roles")
ROLES = sorted(path.parent.parent.name for path in ROOT.glob("roles/*/tasks/main.yml"))
MODULES = sorted(path.stem for path in ROOT.glob("plugins/modules/*.py"))


def files(*patterns: str) -> list[Path]:
    """Files that belong to the repository, new ones too, as paths from its root."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"]
    out = subprocess.run(
        [*command, *(patterns or ["."]), ":!collections"], cwd=ROOT, check=True, capture_output=True
    ).stdout.decode()
    return sorted(Path(name) for name in out.split("\0") if name and (ROOT / name).is_file())


def load(path: str | Path) -> Any:
    """The data of a YAML file; nothing if there is no such file."""
    file = ROOT / path
    return yaml.safe_load(file.read_text()) if file.exists() else None


def options(role: str) -> dict[str, Any]:
    """What the role's specification says of its variables, over all entry points."""
    specs = (load(f"roles/{role}/meta/argument_specs.yml") or {}).get("argument_specs") or {}
    return {name: o for spec in specs.values() for name, o in (spec.get("options") or {}).items()}


def documents(module: str) -> dict[str, Any]:
    """DOCUMENTATION, EXAMPLES and RETURN of a module, read without importing it."""
    tree = ast.parse((ROOT / f"plugins/modules/{module}.py").read_text())
    return {
        node.targets[0].id: yaml.safe_load(ast.literal_eval(node.value))
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in ("DOCUMENTATION", "EXAMPLES", "RETURN")
    }
