# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a box does whose way to the world is gone: all that it did before, from the engine's restart on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openai import OpenAI

    from tests.rig.box import Box

HELLO = [{"role": "user", "content": "Hello"}]
# Everything that leaves by the wire, the box's own and its containers', but for answers to who reaches it by SSH.
CUT = """
nft -f - <<'END'
table inet uplink_cut {
  chain output {
    type filter hook output priority -200
    oifname "eth0" tcp sport != 22 drop
    oifname "eth0" meta l4proto != tcp drop
  }
  chain forward { type filter hook forward priority -200; oifname "eth0" drop; }
}
END
"""
MEND = "nft delete table inet uplink_cut"


@pytest.fixture
def cut_off(box: Box, mirror: str) -> Iterator[Box]:
    box.host.sh(CUT)
    try:
        code = box.host.sh(
            f"curl -sk --max-time 3 -o /dev/null -w '%{{http_code}}' {mirror}/v2/ || true"
        )
        assert code == "000", "the way is cut"
        yield box
    finally:
        box.host.sh(MEND)


def _until_healthy(box: Box, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while states := {
        name: c["State"].get("Health", {}).get("Status") for name, c in box.containers().items()
    }:
        if set(states.values()) == {"healthy"}:
            return
        assert time.monotonic() < end, states
        time.sleep(1)


def _answers(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="small", messages=HELLO, max_tokens=4)
    assert answer.usage
    assert answer.usage.completion_tokens > 0


def test_it_starts_answers_and_converges(cut_off: Box, client: OpenAI) -> None:
    box = cut_off
    _answers(client)
    box.host.sh("systemctl restart docker")
    _until_healthy(box)
    _answers(client)
    box.host.sh("docker restart $(docker ps -q)")
    _until_healthy(box)
    _answers(client)
    lives = box.lives()
    assert box.converge().changed == 0
    assert box.lives() == lives
