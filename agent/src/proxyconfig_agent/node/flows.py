"""UDP flows that still go where a Service no longer sends them. Pure; `ctnetlink` reads and deletes.

The kernel decides about a flow once and remembers that for as long as the client goes on sending: to a pod that is gone, or to nobody.
TCP ends by itself; UDP has to be told. The rules are kube-proxy's (pkg/proxy/conntrack), and two that it lacks: a Service that lost
its last endpoint, and one that was deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from proxyconfig_agent.dataplane import Change
from proxyconfig_agent.ingest.values import Address, Family, Protocol, family_of
from proxyconfig_agent.select.frontends import Frontends

Endpoint = bytes
"""Packed as in `select`: address, then port (2 bytes, big-endian)."""


class Flow(NamedTuple):
    """One UDP flow: where the client sends to, and who answers. `told` is what the kernel said of it, and knows it by."""

    destination: Endpoint
    answers: Endpoint
    told: bytes


Answering = Mapping[Endpoint, Collection[Endpoint]]
"""For the destinations of clients: who may answer. Everybody else's flows are stale."""


def is_udp(change: Change) -> bool:
    return any(side is not None and side.name.protocol is Protocol.UDP for side in (change.old, change.new))


def answering(changes: Iterable[Change], node_addresses: Collection[Address]) -> dict[Family, Answering]:
    """Who may answer at the destinations of the UDP `changes`; at those that are no longer served, nobody.

    `node_addresses` are those that serve NodePorts."""
    found: dict[Family, dict[Endpoint, set[Endpoint]]] = {}
    for change in filter(is_udp, changes):
        for side in filter(None, (change.old, change.new)):
            of_family = found.setdefault(side.family, {})
            for destination in destinations(side, node_addresses):
                of_family.setdefault(destination, set()).update(_serving(side) if side is change.new else ())
    return dict(found)


def destinations(frontends: Frontends, node_addresses: Collection[Address]) -> list[Endpoint]:
    """Where clients of a Service port send to."""
    addresses = (*([frontends.cluster_ip] if frontends.cluster_ip else []), *frontends.external_ips, *frontends.load_balancer_ips)
    own = [address for address in node_addresses if family_of(address) is frontends.family] if frontends.node_port else []
    return [_packed(each, frontends.port) for each in addresses] + [_packed(each, frontends.node_port) for each in own]


def stale(flows: Iterable[Flow], answering: Answering) -> list[Flow]:
    """The flows that somebody answers who may not; that includes those that are not translated at all."""
    return [flow for flow in flows if flow.destination in answering and flow.answers not in answering[flow.destination]]


def _serving(frontends: Frontends) -> Iterable[Endpoint]:
    step = int(frontends.family.size) + 2
    return (frontends.serving[at : at + step] for at in range(0, len(frontends.serving), step))


def _packed(address: Address, port: int) -> Endpoint:
    return address + port.to_bytes(2)
