#!/bin/sh
# A second machine on the box's LAN (a network namespace), which routes loopback and all container networks to the box.
set -e
peer() { ip netns exec peer "$@"; }
ip netns add peer
ip link add lan0 type veth peer name lan1
ip link set lan1 netns peer
ip addr add 10.99.0.1/24 dev lan0
ip link set lan0 up
peer ip addr add 10.99.0.2/24 dev lan1
peer ip link set lan1 up
peer sh -c 'echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet'
peer ip route add 127.0.0.1/32 via 10.99.0.1 src 10.99.0.2
peer ip route add 172.16.0.0/12 via 10.99.0.1
