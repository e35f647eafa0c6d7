# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tarball, built once, and an Ansible elsewhere into which it is installed once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.repository import BIN, ROOT, files


@dataclass(frozen=True)
class Elsewhere:
    """An Ansible that knows nothing of the checkout."""

    home: Path

    def run(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        # What pip needs to reach its index stays; nothing of Ansible's does.
        kept = {name: value for name, value in os.environ.items() if "ANSIBLE" not in name}
        return subprocess.run(
            [self.home / "venv/bin" / program, *arguments],
            cwd=self.home,
            env={**kept, "HOME": str(self.home), "PIP_CACHE_DIR": pip_cache()},
            capture_output=True,
            text=True,
            check=False,
        )

    def runs(self, program: str, *arguments: str | Path) -> str:
        done = self.run(program, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def pip_cache() -> str:
    out = subprocess.check_output([sys.executable, "-m", "pip", "cache", "dir"], text=True)
    return out.strip()


@pytest.fixture(scope="session")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the checkout that also holds what must never ship."""
    source = tmp_path_factory.mktemp("source") / "a checkout"
    for path in files():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, source / path)
    for stray in (
        ".venv/lib/secret.py",
        "inventories/mine/group_vars/all/vault.yml",
        "inventories/mine/secrets.yml",
        "build/older.tar.gz",
        "plugins/modules/__pycache__/stack.pyc",
        "plugins/modules/stack.py.orig",
        "roles/stack/defaults/.main.yml.swp",
        "roles/stack/files/id_ed25519",
        "playbooks/vault_password",
    ):
        (source / stray).parent.mkdir(parents=True, exist_ok=True)
        (source / stray).write_text("secret")
    out = tmp_path_factory.mktemp("tarball")
    build = [f"{BIN}/ansible-galaxy", "collection", "build", "--output-path", str(out)]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    (built,) = out.glob("*.tar.gz")
    return built


@pytest.fixture(scope="session")
def listing(tarball: Path) -> list[str]:
    with tarfile.open(tarball) as archive:
        return sorted(member.name for member in archive if member.isfile())


@pytest.fixture(scope="session")
def elsewhere(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    home = tmp_path_factory.mktemp("elsewhere")
    assert ROOT not in home.parents
    subprocess.run([sys.executable, "-m", "venv", home / "venv"], check=True)
    there = Elsewhere(home)
    there.runs("pip", "install", "--quiet", "--require-hashes", "-r", ROOT / "requirements.txt")
    there.runs("ansible-galaxy", "collection", "install", "--offline", tarball)
    return there
