"""Virtual servers as values, and the mark that distinguishes ours from those of others."""

from __future__ import annotations

from typing import NamedTuple

from proxyconfig_agent.dataplane.ipvs.model.private import KEEPERS
from proxyconfig_agent.ingest.model import Family, Protocol
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.ipvs.messages import Destination, Scheduling, VirtualServer
from proxyconfig_agent.select.frontends import Backends, split

GROUP = 0x5058
"""Of a link of ours, and the upper half of TAG."""
TAG = GROUP << 16
"""In the flags of every virtual server of ours. The kernel keeps the bits that it does not know (IP_VS_SVC_F_ has the low six) and gives
them no meaning."""
_TAG_MASK = 0xFFFF_0000
WEIGHT = 1
"""Of a destination that takes new connections."""
NO_LIMIT = 2**31 - 1
"""The weight that `ovf` takes for the number of connections that a destination bears: with 1 it refuses all others."""

MH, OVF = "mh", "ovf"
FALLBACK = "rr"
"""The scheduler that the mode cannot be without: in place of one that the kernel lacks."""


class Server(NamedTuple):
    scheduling: Scheduling
    destinations: frozenset[Destination]
    """All with `weight_of` the scheduling."""
    serving: frozenset[Destination] = frozenset()
    """Of UDP, besides others: what keeps the clients that it has, though it takes no new ones."""


Servers = dict[VirtualServer, Server]


class Present(NamedTuple):
    """What of ours the kernel has."""

    servers: Servers
    """With the destinations that take new connections."""
    draining: dict[VirtualServer, frozenset[Destination]]
    """The destinations with weight 0."""
    misweighted: dict[VirtualServer, frozenset[Destination]]
    """Those among the first that have another weight than they should."""


def is_ours(scheduling: Scheduling) -> bool:
    return scheduling.flags & _TAG_MASK == TAG


def marking(scheduling: Scheduling) -> Scheduling:
    """The same, with our mark."""
    return scheduling._replace(flags=scheduling.flags & ~_TAG_MASK | TAG)


def scheduling_of(scheduler: str, affinity_s: int) -> Scheduling:
    """mh also hashes the client's port, as in kube-proxy: else all connections of a client go to one endpoint."""
    flags = TAG | (uapi.IP_VS_SVC_F_SCHED_MH_PORT if scheduler == MH else 0)
    return Scheduling(scheduler, flags | uapi.IP_VS_SVC_F_PERSISTENT, affinity_s) if affinity_s else Scheduling(scheduler, flags)


def weight_of(scheduling: Scheduling) -> int:
    return NO_LIMIT if scheduling.scheduler == OVF else WEIGHT


def destinations(backends: Backends, family: Family) -> frozenset[Destination]:
    return frozenset(Destination(address, port) for address, port in split(backends, family))


def keeper(family: Family) -> tuple[VirtualServer, Server]:
    """Idle. With the last virtual server of a family the kernel takes its hooks away, and all connections that still drain with them."""
    return VirtualServer(Protocol.TCP, KEEPERS[family], 1), Server(scheduling_of("rr", 0), frozenset())


def family_of(server: VirtualServer) -> Family:
    return Family.IPV4 if len(server.address) == Family.IPV4.size else Family.IPV6
