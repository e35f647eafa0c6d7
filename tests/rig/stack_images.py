# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The images of the stack, built from packages by the collection itself on a test host, once for each recipe.

They are left in two places: archives for boxes without a registry, and the test registry under their upstream names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.rig import registry
from tests.rig.commands import CACHE, ROOT, cache_lock, digest, run
from tests.rig.host import Host

ARCHIVES = CACHE / "archives"
PLAYBOOK = Path(__file__).with_name("stack_images.yml")
# What an image is made from: its recipe, and the roles that pin its name.
SOURCES = ("local_images/files", "local_images/vars", "litellm/defaults", "reverse_proxy/defaults")
# Where the controller keeps what it trusts; behind an intercepting proxy, builds must trust the same.
CONTROLLER_CA = "/etc/ssl/certs/ca-certificates.crt"


def make() -> None:
    """Have them all; quick when nothing changed."""
    files = sorted(f for s in SOURCES for f in (ROOT / "roles" / s).rglob("*") if f.is_file())
    done = CACHE / f"stack-images-{digest(*(file.read_text() for file in files))}"
    with cache_lock("stack-images"):
        if not done.exists():
            _make_on(Host("images"))
            done.touch()


def _make_on(host: Host) -> None:
    ARCHIVES.mkdir(parents=True, exist_ok=True)
    host.up(registry.up(), f"{ARCHIVES}:/archives", f"{CONTROLLER_CA}:/controller-ca.crt:ro")
    try:
        variables = {
            "docker_host_ca_file": str(registry.CA),
            "local_images_archive_dir": "/archives",
            "local_images_ca_file": "/controller-ca.crt",
            "llm_images": "local",
        }
        playbook(host, PLAYBOOK, "--extra-vars", json.dumps(variables))
        tags = host.sh("docker image ls --format '{{.Repository}}:{{.Tag}}'").split()
        for tag in tags:
            run("docker", "exec", host.container, "docker", "push", "--quiet", tag)
    finally:
        host.down()


def playbook(host: Host, path: Path, *arguments: str) -> None:
    """Run one on this host, its output shown."""
    with tempfile.TemporaryDirectory() as scratch:
        inventory = Path(scratch) / "inventory.sh"
        inventory.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(host.inventory())}\nEND\n")
        inventory.chmod(0o700)
        program = Path(sys.executable).with_name("ansible-playbook")
        subprocess.run(
            [program, "--inventory", inventory, path, *arguments],
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
            check=True,
        )
