"""The way through the proxy: to one of its sockets by the rules, and from the process to an endpoint it chooses."""

from __future__ import annotations

from tests.support.simulator.nftables.kernel import SimulatedKernel
from tests.support.simulator.nftables.rules import KernelRules
from tests.support.simulator.userspace.proxy import SimulatedProxy

from proxyconfig_agent.checks.walker.packet import Packet
from proxyconfig_agent.checks.walker.path import Hook, Node, Passage, Verdict, travel
from proxyconfig_agent.dataplane.userspace.proxy.control.messages import Route
from proxyconfig_agent.dataplane.userspace.proxy.routes.routes import ServicePort
from proxyconfig_agent.dataplane.userspace.proxy.sockets import TAG
from proxyconfig_agent.ingest.model import Family, Protocol


class UserspaceRules:
    """What the kernel and the process hold at the moment."""

    def __init__(self, kernel: SimulatedKernel, proxy: SimulatedProxy) -> None:
        self._rules, self._proxy = KernelRules(kernel), proxy

    def meet(self, hook: Hook, passage: Passage) -> Verdict:
        """Where the process takes the packet, what becomes of its own first packet to the endpoint."""
        verdict, packet = self._rules.meet(hook, passage), passage.packet
        if verdict is not Verdict.ACCEPT or hook is not Hook.INPUT or not packet.translated:
            return verdict
        family, protocol = Family(packet.family), Protocol(packet.protocol)
        entrance = self._proxy.entrance_at(family, protocol, packet.destination, packet.port)
        if entrance is None:
            return verdict
        endpoints = _endpoints(port, local=entrance.local) if (port := self._proxy.find(family, protocol, packet.asked_for)) else []
        if port is None or not endpoints:
            return Verdict.REJECT if protocol is Protocol.TCP else Verdict.DROP
        return self._relayed(passage, _chosen(passage, port.route, endpoints))

    def _relayed(self, passage: Passage, endpoint: bytes) -> Verdict:
        client, destination = passage.packet, endpoint[:-2]
        own = Packet(
            family=client.family,
            protocol=client.protocol,
            source=_source_towards(passage.node, destination),
            destination=destination,
            source_port=client.source_port,
            port=int.from_bytes(endpoint[-2:]),
            priority=TAG,
        )
        fate = travel(self, own, passage.node, passage.choices, passage.memory)
        assert fate.memory == passage.memory, "rules in front of the proxy remember nothing"
        passage.packet = fate.packet
        passage.packet.masqueraded = True  # the answer comes back to the process from every endpoint
        return fate.verdict


def _endpoints(port: ServicePort, *, local: bool) -> list[bytes]:
    octets, step = port.route.local if local else port.route.cluster, port.route.family.size + 2
    return [octets[at : at + step] for at in range(0, len(octets), step)]


def _chosen(passage: Passage, route: Route, endpoints: list[bytes]) -> bytes:
    """Any of the list with the same probability, as endpoints take turns; with affinity the one that the client has."""
    client = passage.packet.source
    remembered = passage.memory.get((route.key, client)) if route.affinity_s else None
    chosen = remembered if remembered in endpoints else endpoints[passage.choices.evenly(len(endpoints))]
    assert chosen is not None
    if route.affinity_s:
        passage.memory[route.key, client] = chosen
    return chosen


def _source_towards(node: Node, destination: bytes) -> bytes:
    """The address that a process of the node has towards `destination`."""
    return destination if node.is_local(destination) else node.masquerading(node.device_to(destination), len(destination))
