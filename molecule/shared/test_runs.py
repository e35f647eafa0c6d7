# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs after the first one do: nothing, what they said they would, or only their part."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.rig.box import Box

STEP = re.compile(r"\b(litellm|reverse_proxy): (create|recreate|reload|start)\b")


def _with(**variables: str) -> tuple[str, str]:
    return "--extra-vars", json.dumps(variables)


def test_a_second_run_touches_nothing(box: Box) -> None:
    lives, files = box.lives(), box.files()
    assert box.converge().changed == 0
    assert box.lives() == lives
    assert box.files() == files


def test_check_mode_predicts_and_writes_nothing(box: Box) -> None:
    change = _with(reverse_proxy_body_size="31m")
    lives, files = box.lives(), box.files()

    predicted = box.converge("--check", "--diff", *change)
    assert (box.lives(), box.files()) == (lives, files)
    assert set(STEP.findall(predicted.output)) == {("reverse_proxy", "reload")}

    real = box.converge("--diff", *change)
    assert set(STEP.findall(real.output)) == set(STEP.findall(predicted.output))
    assert real.changed == predicted.changed == 1
    assert box.lives() == lives, "a reload keeps the container"
    assert box.converge().changed == 1


def test_a_partial_run_touches_only_its_part(box: Box) -> None:
    before = box.lives()
    change = _with(reverse_proxy_memory="400m", litellm_memory="1400m")

    run = box.converge("--diff", "--tags", "reverse_proxy", *change)
    assert set(STEP.findall(run.output)) == {("reverse_proxy", "recreate")}
    after = box.lives()
    assert after["litellm"] == before["litellm"]
    assert after["reverse_proxy"] != before["reverse_proxy"]

    assert box.converge().changed == 1
    assert box.lives()["litellm"] == before["litellm"]
