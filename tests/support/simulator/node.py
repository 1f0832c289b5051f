"""The node under test of tests/support/netns as a value: its addresses, its routes, and who is behind them. Nothing but topology."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from functools import cached_property

from tests.support.netns.topology import (
    NODE,
    NODE2,
    NODE_ALTERNATIVE,
    NODE_LINK,
    OUTSIDE,
    OUTSIDE_OTHER,
    POD2_CIDR,
    POD_GATEWAY,
    PODS,
    PODS2,
    PUBLIC_CIDR,
    SERVICE_CIDR,
    Pair,
)

from proxyconfig_agent.ingest.model import Address
from proxyconfig_agent.node.addresses.local_address import LocalAddress

PORTS = (8080, 9090)
"""What the servers of tests/kernel listen on."""
UPLINK, BACKBONE, LOOPBACK = "uplink", "backbone", "lo"
_INTERFACES: Mapping[str, tuple[Pair, ...]] = {
    LOOPBACK: (Pair("127.0.0.1", "::1"),),
    UPLINK: (NODE, NODE_ALTERNATIVE),
    BACKBONE: (NODE_LINK,),
    **{f"veth-{pod}": (POD_GATEWAY,) for pod in PODS},
}
_SERVERS = {"near1": PODS["near1"], "near2": PODS["near2"], "far1": PODS2["far1"], "far2": PODS2["far2"], "host": NODE, "host2": NODE2}
_PREFIXES = {LOOPBACK: (8, 128), UPLINK: (24, 64), BACKBONE: (24, 64)}


def packed(text: str) -> Address:
    return Address(socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text))


class NetnsNode:
    """What tests/support/netns/topology.py builds, seen from the node."""

    @cached_property
    def addresses(self) -> tuple[LocalAddress, ...]:
        """As the kernel would list them."""
        listed = set()
        for index, (device, pairs) in enumerate(_INTERFACES.items(), 1):
            for pair in pairs:
                for family_index, text in enumerate(pair.both):
                    listed.add(LocalAddress(packed(text), _PREFIXES.get(device, (32, 128))[family_index], index))
        return tuple(sorted(listed))

    @cached_property
    def _local(self) -> frozenset[bytes]:
        return frozenset(each.address for each in self.addresses)

    def is_local(self, address: bytes) -> bool:
        """`fib … type local`: all of 127.0.0.0/8 is."""
        return address in self._local or is_loopback(address)

    def device_to(self, destination: bytes) -> str:
        """The interface that the routes lead to."""
        if self.is_local(destination):
            return LOOPBACK
        for pod, pair in PODS.items():
            if destination in _both(pair):
                return f"veth-{pod}"
        on_backbone = destination in _both(NODE2) or _within(destination, POD2_CIDR)
        return BACKBONE if on_backbone else UPLINK

    def device_from(self, source: bytes) -> str:
        """The interface that a client's packets come in on."""
        return self.device_to(source)

    def source_towards(self, destination: bytes) -> bytes:
        """The address that a process of the node has towards `destination` if it does not choose one."""
        return destination if self.is_local(destination) else self.masquerading(self.device_to(destination), len(destination))

    def masquerading(self, device: str, size: int) -> bytes:
        """The address that packets get that are masqueraded on their way out there; on loopback the first that is not of it."""
        pair = _INTERFACES[UPLINK if device == LOOPBACK else device][0]
        return _both(pair)[0 if size == 4 else 1]

    def server_at(self, address: bytes, port: int) -> str:
        """The name of the endpoint that answers there, empty if nobody does."""
        names = (name for name, pair in _SERVERS.items() if address in _both(pair))
        return next(names, "") if port in PORTS else ""

    def is_alive(self, address: bytes) -> bool:
        """Whether a machine has the address: it refuses what it does not serve. Others are silent."""
        machines = (*PODS.values(), *PODS2.values(), NODE2, OUTSIDE, OUTSIDE_OTHER)
        return self.is_local(address) or any(address in _both(pair) for pair in machines)

    def answers_past(self, source: bytes, destination: bytes) -> bool:
        """Whether the answer to a packet from `source` that is for `destination` does not come back through this node."""
        if source == destination:
            return True
        return all(_within(each, POD2_CIDR) or each in _both(NODE2) for each in (source, destination))

    def leads_beyond(self, address: bytes) -> bool:
        """Whether the server behind the node answers, as no proxy did."""
        return _within(address, SERVICE_CIDR) or _within(address, PUBLIC_CIDR)


def is_loopback(address: bytes) -> bool:
    return address[0] == 127 if len(address) == 4 else address == bytes(15) + b"\1"


def _both(pair: Pair) -> tuple[bytes, bytes]:
    return packed(pair.v4), packed(pair.v6)


def _within(address: bytes, cidrs: Pair) -> bool:
    network = ipaddress.ip_network(cidrs.v4 if len(address) == 4 else cidrs.v6)
    return ipaddress.ip_address(address) in network
