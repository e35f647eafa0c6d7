# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run that is killed, wherever it is, leaves a box on which the next run ends like the first one on a clean box."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING

import pytest

from tests.rig.box import Box
from tests.rig.host import Host
from tests.rig.stack_images import ARCHIVES

if TYPE_CHECKING:
    from collections.abc import Iterator

# What the run says when it is in the middle of something, and whether its module on the box dies with it:
# one that survives goes on working while the next run begins.
MOMENTS = (
    (r"Docker Engine \(apt\)", "box"),
    (r"litellm\S*: loading", "controller"),
    (r"litellm: checking", "box"),
    (r"litellm: create", "box"),
    (r"waiting for litellm", "controller"),
)
HASH = re.compile(r"\b[0-9a-f]{16,64}\b")


@pytest.fixture
def bare(box: Box) -> Iterator[Box]:
    """A machine of its own with the scenario's variables."""
    host = Host(f"{box.host.name}-killed")
    host.up({}, f"{ARCHIVES}:/archives:ro")
    yield Box(host, box.inventory)
    host.down()


def _kill_at(box: Box, moment: str, where: str) -> bool:
    """Run until it says this, and kill -9 all of it. False if it ended well before: others had done its work."""
    with box.start() as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if re.search(moment, line):
                os.killpg(process.pid, signal.SIGKILL)
                if where == "box":
                    box.host.sh("pkill -9 -f '^/usr/bin/python3' || true")
                return True
    assert process.returncode == 0, "".join(said)
    return False


def _state(box: Box) -> tuple[list[str], dict[str, object]]:
    """Everything that stands there, but for what each box makes up itself (keys, and hashes made with them)."""
    files = []
    for line in box.files().splitlines():
        path, rest = line.split(" ", 1)
        if path.endswith("/reloaded.json"):
            continue  # what a running process was told, not what it is
        mode_and_owner = " ".join(rest.split()[:2])
        files.append(HASH.sub("#", f"{path} {mode_and_owner}"))
    containers = {
        name: (
            c["Image"],
            c["Config"]["Cmd"],
            sorted(c["Config"]["Env"] or []),
            c["State"]["Health"]["Status"],
        )
        for name, c in box.containers().items()
    }
    compose = HASH.sub("#", box.host.sh("cat /opt/gpubox/compose.yaml"))
    return files, {**containers, "compose": compose}


def test_killed_runs_converge(box: Box, bare: Box) -> None:
    killed = [_kill_at(bare, moment, where) for moment, where in MOMENTS]
    # What a killed run had started may go on: Compose may have everything up before the last moment comes.
    assert all(killed[:-1])
    bare.converge()
    assert _state(bare) == _state(box)
    assert bare.converge().changed == 0
