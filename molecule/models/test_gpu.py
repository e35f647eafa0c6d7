# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A GPU that is not there: what NVIDIA's toolkit writes about one is made up, the engine's part of it is real."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.rig.box import Box

SPECIFICATION = {
    "cdiVersion": "0.5.0",
    "kind": "nvidia.com/gpu",
    "devices": [
        {"name": name, "containerEdits": {"env": [f"GPU_SEEN={name}"]}} for name in ("0", "all")
    ],
}
# Engine 26 knows CDI as an experiment.
ENGINE = {"docker_host_daemon": {"features": {"cdi": True}, "experimental": True}}


def _seen(box: Box) -> str:
    pid = box.containers()["ollama"]["State"]["Pid"]
    return box.host.sh(f"tr '\\0' '\\n' </proc/{pid}/environ | grep ^GPU_SEEN= || true").strip()


def test_the_container_gets_the_gpu_that_was_named(box: Box) -> None:
    box.host.sh(f"mkdir -p /etc/cdi && echo '{json.dumps(SPECIFICATION)}' >/etc/cdi/nvidia.yaml")
    assert _seen(box) == ""
    wanted = {**ENGINE, "ollama_gpu": "nvidia", "ollama_gpu_devices": ["0"]}
    box.converge("--extra-vars", json.dumps(wanted))
    assert _seen(box) == "GPU_SEEN=0"
    assert box.converge("--extra-vars", json.dumps(wanted)).changed == 0
    box.converge()
    assert _seen(box) == ""
