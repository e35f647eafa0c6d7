# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The box as a neighbour on its LAN sees it: nothing is open but SSH."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.rig.commands import run
from tests.rig.host import image

if TYPE_CHECKING:
    from tests.rig.box import Box

# Every port of one address; a closed one answers at once, a dropped one costs the time-out.
SCAN = """
import asyncio, sys
async def look(port, gate, found):
    async with gate:
        try:
            _r, writer = await asyncio.wait_for(asyncio.open_connection(sys.argv[1], port), 1.5)
            writer.close(); found.append(port)
        except (OSError, asyncio.TimeoutError):
            pass
async def main(ports):
    gate, found = asyncio.Semaphore(400), []
    await asyncio.gather(*(look(port, gate, found) for port in ports))
    print(sorted(found))
low, high = map(int, sys.argv[2].split("-"))
asyncio.run(main(range(low, high + 1)))
"""


def _neighbour(box: Box, setup: str, target: str, ports: str) -> list[int]:
    """The open ports that another machine on the same segment finds, after it prepared itself."""
    script = f"{setup}\nexec python3 -c '{SCAN}' {target} {ports}"
    privileged = ("--privileged", "--network", "bridge")
    return json.loads(run("docker", "run", "--rm", *privileged, image(), "sh", "-euc", script))


def test_only_ssh_is_open(box: Box) -> None:
    assert _neighbour(box, "", box.host.address, "1-65535") == [22]


@pytest.mark.parametrize(("service", "port"), [("litellm", 4000), ("reverse_proxy", 8080)])
def test_container_addresses_are_not_routed(box: Box, service: str, port: int) -> None:
    networks = box.containers()[service]["NetworkSettings"]["Networks"].values()
    for address in [network["IPAddress"] for network in networks]:
        route = f"ip route replace {address} via {box.host.address}"
        assert _neighbour(box, route, address, f"{port}-{port}") == [], address


def test_loopback_port_is_not_reached_from_the_segment(box: Box) -> None:
    """Before Engine 28 a packet to 127.0.0.1 that is put on the wire arrives at the published port."""
    trick = (
        "echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet\n"
        "ip route del local 127.0.0.1 table local dev lo\n"
        "ip route del local 127.0.0.0/8 table local dev lo\n"
        f"ip route add 127.0.0.1 via {box.host.address} dev eth0"
        " src $(hostname -i)"
    )
    assert _neighbour(box, trick, "127.0.0.1", "8080-8080") == []
