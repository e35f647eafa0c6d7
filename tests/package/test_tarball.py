# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as others get it: what the tarball holds, what Galaxy says to it, that it works."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.repository import MODULES, ROLES, ROOT, files

if TYPE_CHECKING:
    from tests.package.conftest import Elsewhere

# Made by the build itself.
GENERATED = ["FILES.json", "MANIFEST.json"]
SHIPPED = files(
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "changelogs/*.yaml",
    "meta",
    "playbooks",
    "plugins",
    "roles",
)


def test_the_tarball_holds_the_collection_and_nothing_else(listing: list[str]) -> None:
    allowed = {*GENERATED, *map(str, SHIPPED)}
    assert {"missing": allowed - set(listing), "stray": set(listing) - allowed} == {
        "missing": set(),
        "stray": set(),
    }


def test_galaxy_would_import_it_without_a_complaint(tarball: Path, tmp_path: Path) -> None:
    # Its linters have run over the checkout already; here it judges the tarball and its metadata.
    config = tmp_path / "importer.cfg"
    config.write_text(
        "[galaxy-importer]\nrun_ansible_doc = True\nrun_ansible_lint = False\nrun_ansible_test = False\n"
        "run_flake8 = False\ncheck_required_tags = True\ncheck_changelog = True\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "galaxy_importer.main", tarball],
        cwd=tmp_path,
        env={"GALAXY_IMPORTER_CONFIG": str(config), "PATH": f"{ROOT}/.venv/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    complaints = [
        line for line in done.stderr.splitlines() if line.startswith(("WARNING", "ERROR"))
    ]
    assert complaints == []


def test_installed_modules_are_found_in_the_installation(elsewhere: Elsewhere) -> None:
    names = [f"gpubox.llm.{name}" for name in MODULES]
    found = json.loads(elsewhere.runs("ansible-doc", "--json", "--type", "module", *names))
    assert sorted(found) == names
    inside = elsewhere.home / ".ansible/collections/ansible_collections/gpubox/llm"
    for page in found.values():
        assert Path(page["doc"]["filename"]).is_relative_to(inside)


def test_installed_roles_are_found_in_the_installation(elsewhere: Elsewhere) -> None:
    names = [f"gpubox.llm.{name}" for name in ROLES]
    found = json.loads(elsewhere.runs("ansible-doc", "--json", "--type", "role", *names))
    assert sorted(found) == names
    inside = elsewhere.home / ".ansible/collections/ansible_collections/gpubox/llm"
    assert {Path(page["path"]) for page in found.values()} == {inside}


@pytest.mark.parametrize("playbook", ["site", "remove"])
def test_an_installed_playbook_runs_by_name(elsewhere: Elsewhere, playbook: str) -> None:
    inventory = elsewhere.home / "hosts.yml"
    inventory.write_text("all: {hosts: {box: {ansible_connection: local}}}\n")
    out = elsewhere.runs(
        "ansible-playbook", "-i", inventory, f"gpubox.llm.{playbook}", "--list-tasks"
    )
    assert "gpubox" in out or "stack" in out
    assert "play #1 (all)" in out


def test_installed_validation_refuses_bad_input_with_its_own_words(elsewhere: Elsewhere) -> None:
    inventory = elsewhere.home / "bad.yml"
    inventory.write_text(
        "all: {hosts: {box: {ansible_connection: local, llm_models: [{name: a, provider: nobody}]}}}\n"
    )
    done = elsewhere.run("ansible-playbook", "-i", inventory, "gpubox.llm.site", "--check")
    assert done.returncode != 0
    assert "llm_models" in done.stdout and "nobody" in done.stdout
