"""Addresses of virtual servers that only rules lead to: the endpoint sets of a Service port besides that of its ClusterIP.

A virtual server needs an address and a port. They follow from the Service port's own, so nothing has to be numbered or remembered:
the low bits of its ClusterIP in a range that no network uses (IPv4 240.0.0.0/4, "reserved for future use"; IPv6 100::/64, RFC 6666,
"discard-only"), one half for each kind of list. Service networks are private ones, whose low 27 (63) bits differ.
"""

from __future__ import annotations

import enum

from proxyconfig_agent.ingest.model import Address, Family, Network
from proxyconfig_agent.netlink.ipvs.messages import VirtualServer
from proxyconfig_agent.select.frontends import Frontends

RANGES = {
    Family.IPV4: Network(Address(bytes((240, 0, 0, 0))), 4),
    Family.IPV6: Network(Address(bytes((1,)) + bytes(15)), 64),
}
KEEPERS = {
    Family.IPV4: Address(bytes((240, 0, 0, 0))),
    Family.IPV6: Address(bytes((1,)) + bytes(15)),
}
"""Of the idle virtual server of each family; no Service has an address that ends in so many zeros."""


PROBE_PORT = 9
"""Of a keeper's address: where a virtual server is tried and deleted again."""


class Kind(enum.IntEnum):
    """Which list of endpoints."""

    CLUSTER = 0
    LOCAL = 1


def private_server(frontends: Frontends, kind: Kind) -> VirtualServer:
    """Where a Service port's list of that kind is if its ClusterIP has another one, or if it has no ClusterIP."""
    address, port = _named_after(frontends)
    return VirtualServer(frontends.name.protocol, _moved(address, kind), port)


def is_keeper(server: VirtualServer) -> bool:
    return server.address in KEEPERS.values()


def is_private(address: bytes) -> bool:
    return any(Address(address) in network for network in RANGES.values())


def _named_after(frontends: Frontends) -> tuple[Address, int]:
    """A pair that no other Service port has: an own address and the port, or the node port."""
    own = (frontends.cluster_ip, *frontends.external_ips, *frontends.load_balancer_ips)
    first = next(filter(None, own), None)
    if first is not None:
        return first, frontends.port
    return Address((1).to_bytes(int(frontends.family.size))), frontends.node_port


def _moved(address: Address, kind: Kind) -> Address:
    family = Family.IPV4 if len(address) == Family.IPV4.size else Family.IPV6
    network = RANGES[family]
    free = 8 * len(address) - network.prefix - 1
    low = int.from_bytes(address) & (1 << free) - 1
    return Address((int.from_bytes(network.base) | kind << free | low).to_bytes(len(address)))
