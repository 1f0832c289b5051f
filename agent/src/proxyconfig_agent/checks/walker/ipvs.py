"""The way through IPVS: what comes to a virtual server at input or output goes on to a destination that it chooses.

As net/netfilter/ipvs does it with masquerading (NAT): to a destination on this node the packet goes on where it is; to another one it
meets the hooks output and postrouting from the beginning, but for IPVS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Protocol

from msgspec import Struct, field

from proxyconfig_agent.checks.walker.path import Hook, Passage, Verdict, at
from proxyconfig_agent.netlink.ipvs.messages import Destination, Scheduling, VirtualServer
from proxyconfig_agent.netlink.uapi import IP_VS_SVC_F_PERSISTENT

_PRIORITIES = {Hook.INPUT: 99, Hook.OUTPUT: -98}
_REGARDLESS_OF_WEIGHTS = frozenset(("rr", "lc", "dh"))
"""Schedulers that choose all whose weight is not 0 alike."""


class Server(Struct):
    """What a virtual server has; destinations with their weights, in the order in which they came."""

    scheduling: Scheduling
    destinations: dict[Destination, int] = field(default_factory=dict)


class Around(Protocol):
    """Rules whose chains have priorities."""

    def meet(self, hook: Hook, passage: Passage, after: float = ..., before: float = ...) -> Verdict:
        """`after` and `before`: only the chains whose priorities are between them."""
        ...


class IpvsRules:
    """`rules` around IPVS, and the virtual servers; both may change between packets."""

    def __init__(self, rules: Around, servers: Mapping[VirtualServer, Server]) -> None:
        self._rules, self._servers = rules, servers

    def meet(self, hook: Hook, passage: Passage) -> Verdict:
        priority = _PRIORITIES.get(hook)
        if priority is None:
            return self._rules.meet(hook, passage)
        if (verdict := self._rules.meet(hook, passage, before=priority)) is not Verdict.ACCEPT:
            return verdict
        return self._taken(hook, passage) or self._rules.meet(hook, passage, after=priority)

    def _taken(self, hook: Hook, passage: Passage) -> Verdict | None:
        """None: the packet goes on where it is, as it was or to a destination on this node. What IPVS has sent on it leaves alone."""
        packet = passage.packet
        key = VirtualServer(packet.protocol, packet.destination, packet.port)
        if packet.virtual_server is not None or (server := self._servers.get(key)) is None:
            return None
        if not any(server.destinations.values()):
            return Verdict.REJECT
        packet.asked_for = packet.asked_for or packet.destination + packet.port.to_bytes(2)
        packet.virtual_server = key
        packet.destination, packet.port = _chosen(passage, key, server)
        packet.goes_out, packet.destination_settled = passage.node.device_to(packet.destination), True
        return None if passage.node.is_local(packet.destination) else self._sent_on(hook, passage)

    def _sent_on(self, hook: Hook, passage: Passage) -> Verdict:
        """What the node itself sends meets postrouting by itself."""
        verdict = at(self._rules, Hook.OUTPUT, passage)
        if verdict is not Verdict.ACCEPT or hook is Hook.OUTPUT:
            return verdict
        return at(self._rules, Hook.POSTROUTING, passage)


def _chosen(passage: Passage, key: VirtualServer, server: Server) -> Destination:
    """By weights, as over many connections; a persistent virtual server remembers clients, by their source.

    A client whose destination takes no new connections gets another (net.ipv4.vs.expire_quiescent_template)."""
    usable = [each for each, weight in server.destinations.items() if weight]
    known = (str(key), passage.packet.source)
    persistent = bool(server.scheduling.flags & IP_VS_SVC_F_PERSISTENT)
    remembered = passage.memory.get(known) if persistent else None
    chosen = next((each for each in usable if _octets(each) == remembered), None)
    if chosen is None:
        chosen = usable[passage.choices.among(_shares(server, usable))]
    if persistent:
        passage.memory[known] = _octets(chosen)
    return chosen


def _shares(server: Server, usable: Sequence[Destination]) -> list[Fraction]:
    if server.scheduling.scheduler in _REGARDLESS_OF_WEIGHTS:
        return [Fraction(1, len(usable))] * len(usable)
    weights = [server.destinations[each] for each in usable]
    return [Fraction(weight, sum(weights)) for weight in weights]


def _octets(destination: Destination) -> bytes:
    return destination.address + destination.port.to_bytes(2)
