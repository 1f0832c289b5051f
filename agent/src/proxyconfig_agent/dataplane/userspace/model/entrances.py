"""Where the proxy process takes traffic: an address of the node, and a port for each protocol and kind of list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from msgspec import Struct, field

from proxyconfig_agent.ingest.model import Address, Family, Protocol, family_of

PROTOCOLS = (Protocol.TCP, Protocol.UDP)
LOOPBACK = {Family.IPV4: Address(bytes((127, 0, 0, 1))), Family.IPV6: Address(bytes(15) + b"\1")}


class Entrance(NamedTuple):
    """What a listening socket is for."""

    family: Family
    protocol: Protocol
    local: bool
    """Whether it leads to local lists, or to cluster lists."""


class Entrances(Struct, frozen=True):
    ports: Mapping[Entrance, int] = field(default_factory=dict)
    addresses: tuple[Address, ...] = ()
    """Addresses of the node, at most one of each family."""

    def address(self, family: Family) -> Address:
        """On loopback only processes of the node reach the proxy: better than nothing where the node has no address of the family."""
        return next((address for address in self.addresses if family_of(address) is family), LOOPBACK[family])

    def of(self, family: Family, *, local: bool) -> Iterator[tuple[Protocol, int]]:
        """Protocols with their ports; none if the kernel does not have the family."""
        for protocol in PROTOCOLS:
            if port := self.ports.get(Entrance(family, protocol, local)):
                yield protocol, port

    def packed(self) -> frozenset[bytes]:
        """Address and port of each, packed."""
        return frozenset(self.address(entrance.family) + port.to_bytes(2) for entrance, port in self.ports.items())
