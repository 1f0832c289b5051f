"""The way through IPVS: what comes to a virtual server at input or output goes on to a destination that it chooses.

As net/netfilter/ipvs does it with masquerading (NAT): to a destination on this node the packet goes on where it is; to another one it
meets the hooks output and postrouting from the beginning, but for IPVS.
"""

from __future__ import annotations

from tests.support.simulator.ipvs.servers import Server, SimulatedServers
from tests.support.simulator.nftables.rules import KernelRules

from proxyconfig_agent.checks.walker.path import Hook, Passage, Verdict, at
from proxyconfig_agent.netlink.ipvs.messages import Destination, VirtualServer
from proxyconfig_agent.netlink.uapi import IP_VS_SVC_F_PERSISTENT

_PRIORITIES = {Hook.INPUT: 99, Hook.OUTPUT: -98}


class IpvsRules:
    """What the kernel holds at the moment."""

    def __init__(self, tables: KernelRules, servers: SimulatedServers) -> None:
        self._tables, self._ipvs = tables, servers

    def meet(self, hook: Hook, passage: Passage) -> Verdict:
        priority = _PRIORITIES.get(hook)
        if priority is None:
            return self._tables.meet(hook, passage)
        if (verdict := self._tables.meet(hook, passage, before=priority)) is not Verdict.ACCEPT:
            return verdict
        return self._taken(hook, passage) or self._tables.meet(hook, passage, after=priority)

    def _taken(self, hook: Hook, passage: Passage) -> Verdict | None:
        """None: the packet goes on where it is, as it was or to a destination on this node."""
        packet = passage.packet
        key = VirtualServer(packet.protocol, packet.destination, packet.port)
        if (server := self._ipvs.servers.get(key)) is None:
            return None
        if not (usable := [each for each, weight in server.destinations.items() if weight]):
            return Verdict.REJECT
        packet.asked_for = packet.asked_for or packet.destination + packet.port.to_bytes(2)
        chosen = _chosen(passage, key, server, usable)
        self._ipvs.last = key, chosen
        packet.destination, packet.port = chosen
        assert VirtualServer(packet.protocol, packet.destination, packet.port) not in self._ipvs.servers, "that is not known here"
        packet.goes_out, packet.destination_settled = passage.node.device_to(packet.destination), True
        return None if passage.node.is_local(packet.destination) else self._sent_on(hook, passage)

    def _sent_on(self, hook: Hook, passage: Passage) -> Verdict:
        """What the node itself sends meets postrouting by itself."""
        verdict = at(self._tables, Hook.OUTPUT, passage)
        if verdict is not Verdict.ACCEPT or hook is Hook.OUTPUT:
            return verdict
        return at(self._tables, Hook.POSTROUTING, passage)


def _chosen(passage: Passage, key: VirtualServer, server: Server, usable: list[Destination]) -> Destination:
    """Any with the same probability, as destinations take turns (rr); a persistent one remembers clients, by their source.

    A client whose destination takes no new connections gets another (net.ipv4.vs.expire_quiescent_template)."""
    assert server.scheduling.scheduler == "rr", "no other scheduler is known here"
    known = (str(key), passage.packet.source)
    persistent = bool(server.scheduling.flags & IP_VS_SVC_F_PERSISTENT)
    remembered = passage.memory.get(known) if persistent else None
    chosen = next((each for each in usable if _octets(each) == remembered), None) or usable[passage.choices.evenly(len(usable))]
    if persistent:
        passage.memory[known] = _octets(chosen)
    return chosen


def _octets(destination: Destination) -> bytes:
    return destination.address + destination.port.to_bytes(2)
