"""What is asked of both rule sets: the first packet of a connection to each address of a Service port, from each class of clients. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from msgspec import Struct
from msgspec.structs import replace

from proxyconfig_agent.checks.walker.packet import LOOPBACK_DEVICE, Packet
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.ingest.model import ANY, Address, Family, text_of
from proxyconfig_agent.node.addresses.local_address import LocalAddress
from proxyconfig_agent.select.frontends import Frontends

_OUTSIDE = {Family.IPV4: Address(bytes((198, 51, 100, 7))), Family.IPV6: Address(bytes.fromhex("20010db8000000000000000000000007"))}
"""Of documentation: no pod and no node has them."""
_FIRST_PORT = 40_000
ELSEWHERE = "elsewhere"


@dataclass(frozen=True)
class NodeAddresses:
    """The node as the walker sees it: its own addresses, and everything else behind one interface."""

    local: Sequence[LocalAddress]
    of_services: Mapping[bytes, bytes] = field(default_factory=dict)
    """Addresses of Services that a mode makes the node's own, each with the source of what its processes send there."""

    @cached_property
    def _own(self) -> frozenset[bytes]:
        return frozenset(each.address for each in self.local)

    def is_local(self, address: bytes) -> bool:
        return address in self._own or address in self.of_services or (len(address) == 4 and address[0] == 127)

    def device_to(self, destination: bytes) -> str:
        return LOOPBACK_DEVICE if self.is_local(destination) else ELSEWHERE

    def masquerading(self, device: str, size: int) -> bytes:  # noqa: ARG002 - the protocol's
        return self.own(size)

    def leaving(self, packet: Packet) -> Packet:
        """What a process of the node sends, with the source that it has here; others as they are."""
        source = b"" if packet.came_in else self.of_services.get(packet.destination)
        return replace(packet, source=source) if source else packet

    def own(self, size: int) -> bytes:
        """The address of processes on the node."""
        usable = (each.address for each in self.local if len(each.address) == size and not each.is_loopback and not each.is_link_local)
        return next(usable, bytes(size))


class Flow(Struct, frozen=True):
    """`client` and `destination` are for people."""

    client: str
    destination: str
    packet: Packet


def flows_of(port: Frontends, settings: Settings, node: NodeAddresses) -> Iterator[Flow]:
    """From outside, from a process of the node, and from a pod of it where pods can be told."""
    for words, address, number in _destinations(port, settings, node):
        for client, source, came_in in _clients(port.family, settings, node):
            packet = Packet(port.family.value, int(port.name.protocol), source, address, _FIRST_PORT, number, came_in)
            yield Flow(client, f"{words} {text_of(address)}:{number}", packet)


def _destinations(port: Frontends, settings: Settings, node: NodeAddresses) -> Iterator[tuple[str, Address, int]]:
    if port.cluster_ip is not None:
        yield "ClusterIP", port.cluster_ip, port.port
    yield from (("external IP", address, port.port) for address in port.external_ips)
    yield from (("load balancer IP", address, port.port) for address in port.load_balancer_ips)
    if port.node_port and any(own := _preferred(settings.node_port_addresses, node, port.family)):
        yield "NodePort", Address(own), port.node_port


def _preferred(some: Iterable[Address], node: NodeAddresses, family: Family) -> bytes:
    """The first of these that the node has, any that it has where they are all or none."""
    chosen = (address for address in some if len(address) == family.size and address != ANY[family])
    return next(filter(node.is_local, chosen), node.own(family.size))


def _clients(family: Family, settings: Settings, node: NodeAddresses) -> Iterator[tuple[str, bytes, str]]:
    """With the interface on which their packets come in; that of a process of the node on none."""
    yield "a client outside", _OUTSIDE[family], ELSEWHERE
    yield "the node", _preferred(settings.node_addresses, node, family), ""
    local = settings.local_traffic
    pod = next((Address(_second(each.base)) for each in local.cidrs if len(each.base) == family.size), _OUTSIDE[family])
    device = local.interface or (f"{local.interface_prefix}0" if local.interface_prefix else "pod")
    if pod != _OUTSIDE[family] or local.interface or local.interface_prefix:
        yield "a pod", pod, device


def _second(base: bytes) -> bytes:
    return (int.from_bytes(base) + 2).to_bytes(len(base))
