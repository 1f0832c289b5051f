"""UDP flows that still go where a Service no longer sends them. Pure; `ctnetlink` reads and deletes.

The kernel translates a flow as its first packet was for as long as the client goes on sending: to a pod that is gone, or to no pod at
all. TCP connections end by themselves; UDP flows have to be deleted. The rules are kube-proxy's (pkg/proxy/conntrack), with what it lacks:
Services that lost their last endpoint or were deleted, new addresses, and node ports that are distinguished from the same port of a
foreign host.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from msgspec import Struct, field

from proxyconfig_agent.dataplane.port import Change, Destination
from proxyconfig_agent.ingest.model import Address, Family, Protocol, family_of
from proxyconfig_agent.select.frontends import Frontends

Endpoint = bytes
"""Packed as in `select`: address, then port (2 bytes, big-endian)."""

_LOOPBACK, _LOOPBACK_V6 = 127, bytes(15) + b"\1"


class Stale(enum.Enum):
    """Why a flow is stale; the values are a metric's label."""

    ENDPOINT_GONE = "endpoint-gone"
    PORT_CHANGED = "port-changed"
    """The endpoint's address still serves, on another port."""
    NO_ENDPOINTS = "no-endpoints"
    SERVICE_GONE = "service-gone"
    """The destination is not served any more: the Service, its port, or this address of it is gone."""
    UNTRANSLATED = "untranslated"
    """The client sent before there was a Service, or an endpoint, or our rules."""


class Flow(NamedTuple):
    """One UDP flow: the destination of the client, and the endpoint that answers. `message` is the kernel's, by which it is deleted."""

    destination: Endpoint
    answers: Endpoint
    message: bytes


class Lookup(NamedTuple):
    """A filter for the kernel: flows to a port, of one address or (empty) of any."""

    port: bytes
    address: bytes = b""


class NodePortAddresses(Struct, frozen=True):
    """Where clients of node ports send to: addresses that serve them, and those that did until now."""

    serving: Collection[Address] = ()
    former: Collection[Address] = ()
    loopback: bool = False
    """Loopback addresses serve them, too."""

    def serves(self, address: bytes) -> bool:
        return address in self.serving or (self.loopback and _is_loopback(address))


class Answering(Struct):
    """The endpoints that may answer at each UDP destination in question, in one family; None: it is not served any more."""

    node: NodePortAddresses
    relays: frozenset[Endpoint] = frozenset()
    """Who answers in place of any endpoints that a destination has."""
    fixed: dict[Endpoint, frozenset[Endpoint] | None] = field(default_factory=dict)
    node_ports: dict[bytes, frozenset[Endpoint] | None] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.fixed) + len(self.node_ports)

    def why(self, flow: Flow) -> Stale | None:
        """Why this flow is stale; None: it is not, or is none of our business."""
        address, port = flow.destination[:-2], flow.destination[-2:]
        may: frozenset[Endpoint] | None
        if flow.destination in self.fixed:
            may = self.fixed[flow.destination]
        elif port in self.node_ports and self.node.serves(address):
            may = self.node_ports[port]
        elif port in self.node_ports and address in self.node.former:
            may = None
        else:
            return None
        return _gone(flow) if may is None else _wrong(flow, may | self.relays if may else may)

    def admit(self, newer: Frontends) -> None:
        """The endpoints of a Service port may answer at its destinations, besides those that may already."""
        self._allow(newer, _serving(newer))

    def lookups(self) -> list[Lookup]:
        """What to ask the kernel for to see every flow that may be stale, each port once."""
        by_port: dict[bytes, list[bytes]] = {port: [] for port in self.node_ports}
        for destination in self.fixed:
            by_port.setdefault(destination[-2:], []).append(destination[:-2])
        return [
            Lookup(port, addresses[0]) if len(addresses) == 1 and port not in self.node_ports else Lookup(port)
            for port, addresses in by_port.items()
        ]

    def _allow(self, side: Frontends, endpoints: frozenset[Endpoint] | None) -> None:
        """`endpoints` may answer at the addresses of `side`, besides those that may already."""
        for destination in _destinations(side):
            self.fixed[destination] = _either(self.fixed.get(destination), endpoints)
        if side.node_port:
            port = side.node_port.to_bytes(2)
            self.node_ports[port] = _either(self.node_ports.get(port), endpoints)


Place = tuple[frozenset[Endpoint], int]
"""Where clients of a Service port send to: its destinations, and its node port (0: none)."""


def place_of(frontends: Frontends) -> Place:
    return frozenset(_destinations(frontends)), frontends.node_port


def is_udp(frontends: Frontends) -> bool:
    return frontends.name.protocol is Protocol.UDP


def can_be_stale(change: Change) -> bool:
    """Whether a flow can have become stale by it: more endpoints than before, or another policy, are no reason to look."""
    old, new = change.old, change.new
    if old is None or new is None:
        return True
    if place_of(old) != place_of(new):
        return True
    return not _serving(old) <= _serving(new) or (bool(new.serving) and not old.serving)


def answering(
    changes: Iterable[Change],
    node: NodePortAddresses,
    abandoned: Iterable[Destination] = (),
    relays: frozenset[Endpoint] = frozenset(),
) -> Mapping[Family, Answering]:
    """Who may answer at the destinations of these changes of UDP ports: endpoints, and `relays` in place of any.

    `abandoned` are destinations that were served before, and are not any more unless one of the changes serves them."""
    found: dict[Family, Answering] = {}
    for change in changes:
        for side in filter(None, (change.old, change.new)):
            of_family = found.setdefault(side.family, Answering(node, relays))
            of_family._allow(side, _serving(side) if side is change.new else None)  # noqa: SLF001 - the same noun
    for destination in abandoned:
        of_family = found.setdefault(destination.family, Answering(node, relays))
        port = destination.port.to_bytes(2)
        if destination.address is None:
            of_family.node_ports.setdefault(port, None)
        else:
            of_family.fixed.setdefault(destination.address + port, None)
    return found


def _is_loopback(address: bytes) -> bool:
    return address[0] == _LOOPBACK if len(address) == Family.IPV4.size else address == _LOOPBACK_V6


def _gone(flow: Flow) -> Stale | None:
    """Its destination is not served. An untranslated flow may be meant for a host that has this address."""
    return Stale.SERVICE_GONE if flow.answers != flow.destination else None


def _wrong(flow: Flow, may: frozenset[Endpoint]) -> Stale | None:
    if flow.answers in may:
        return None
    if flow.answers == flow.destination:
        return Stale.UNTRANSLATED
    if not may:
        return Stale.NO_ENDPOINTS
    return Stale.PORT_CHANGED if any(flow.answers[:-2] == endpoint[:-2] for endpoint in may) else Stale.ENDPOINT_GONE


def _either(one: frozenset[Endpoint] | None, other: frozenset[Endpoint] | None) -> frozenset[Endpoint] | None:
    """An address may pass from one Service to another in one sync."""
    if one is None or other is None:
        return other if one is None else one
    return one | other


def _destinations(frontends: Frontends) -> list[Endpoint]:
    """Where clients of a Service port send to, but for its node port."""
    addresses = (*([frontends.cluster_ip] if frontends.cluster_ip else []), *frontends.external_ips, *frontends.load_balancer_ips)
    return [address + frontends.port.to_bytes(2) for address in addresses if family_of(address) is frontends.family]


def _serving(frontends: Frontends) -> frozenset[Endpoint]:
    step = int(frontends.family.size) + 2
    return frozenset(frontends.serving[at : at + step] for at in range(0, len(frontends.serving), step))
