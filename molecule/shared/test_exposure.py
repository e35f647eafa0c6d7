# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The box as a neighbour on its LAN sees it: nothing is open but SSH."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.rig.commands import run
from tests.rig.host import image

if TYPE_CHECKING:
    from tests.rig.box import Box

BOX = "10.99.0.1"
NEIGHBOUR = "10.99.0.2"
# A wire of its own between the two: the outer engine's bridge would filter what the neighbour tries.
WIRE = f"""
ip link add lan type veth peer name lan-box
ip link set lan-box netns $BOX_PID
nsenter --target $BOX_PID --net ip address add {BOX}/24 dev lan-box
nsenter --target $BOX_PID --net ip link set lan-box up
ip address add {NEIGHBOUR}/24 dev lan
ip link set lan up
ip link set lo up
"""
# A closed port answers at once, a dropped packet costs the time-out.
SCAN = """
import socket, sys
found = []
low, high = map(int, sys.argv[2].split("-"))
for port in range(low, high + 1):
    with socket.socket() as tried:
        tried.settimeout(3)
        if tried.connect_ex((sys.argv[1], port)) == 0:
            found.append(port)
print(found)
"""
# Before Engine 28 a packet to 127.0.0.1 that is put on the wire arrives at the published port.
LOOPBACK_TRICK = f"""
echo 1 > /proc/sys/net/ipv4/conf/lan/route_localnet
ip address del 127.0.0.1/8 dev lo
ip route add 127.0.0.1 via {BOX} src {NEIGHBOUR}
"""


def _neighbour(box: Box, setup: str, target: str, ports: str) -> list[int]:
    """The open ports that another machine on the same segment finds, after it prepared itself."""
    pid = run("docker", "inspect", "--format", "{{.State.Pid}}", box.host.container).strip()
    script = f"BOX_PID={pid}\n{WIRE}\n{setup}\nexec python3 -c '{SCAN}' {target} {ports}"
    machine = ("--privileged", "--network", "none", "--pid", "host")
    return json.loads(run("docker", "run", "--rm", *machine, image(), "sh", "-euc", script))


def _addresses(box: Box, service: str) -> list[str]:
    networks = box.containers()[service]["NetworkSettings"]["Networks"].values()
    return [network["IPAddress"] for network in networks]


def test_only_ssh_is_open(box: Box) -> None:
    assert _neighbour(box, "", BOX, "1-65535") == [22]


def test_container_addresses_are_not_routed(box: Box, services: dict[str, int]) -> None:
    for service, port in services.items():
        for address in _addresses(box, service):
            route = f"ip route add {address} via {BOX}"
            assert _neighbour(box, route, address, f"{port}-{port}") == [], (service, address)


def test_loopback_port_is_not_reached_from_the_segment(box: Box) -> None:
    assert _neighbour(box, LOOPBACK_TRICK, "127.0.0.1", "8080-8080") == []


def test_the_drop_is_what_closes_them(box: Box) -> None:
    """The tests above would see an open port: without the drop both ways in are open."""
    networks = box.containers()["reverse_proxy"]["NetworkSettings"]["Networks"]
    address = networks["gpubox_edge"][
        "IPAddress"
    ]  # internal networks refuse what comes from outside
    route = f"ip route add {address} via {BOX}"
    box.host.sh("nft delete table inet gpubox_lan")
    try:
        assert _neighbour(box, route, address, "8080-8080") == [8080]
        assert _neighbour(box, LOOPBACK_TRICK, "127.0.0.1", "8080-8080") == [8080]
    finally:
        box.host.sh("systemctl restart gpubox-lan")
    assert _neighbour(box, route, address, "8080-8080") == []
