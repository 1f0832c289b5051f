"""Local routes as far as the agent speaks to the kernel, and the node that has them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Mapping

from tests.support.simulator.ipvs.servers import answered
from tests.support.simulator.node import NetnsNode

from proxyconfig_agent.netlink.localroutes import Connection

_SIZES: Mapping[int, int] = {socket.AF_INET: 4, socket.AF_INET6: 16}


class SimulatedRoutes(Connection):
    """Stands where the socket would, as `SimulatedServers` does; `sources` of all addresses that are local by a route of ours."""

    def __init__(self, node: NetnsNode) -> None:
        self.sources: dict[bytes, bytes] = {}
        self._links = {bytes(each.address): each.interface for each in node.addresses}
        self.before_commit: Callable[[], None] = _nothing
        self.after_commit: Callable[[], None] = _nothing

    def close(self) -> None:
        pass

    def held(self, family: int) -> dict[bytes, bytes]:
        return {address: source for address, source in self.sources.items() if len(address) == _SIZES[family]}

    def of_links(self, family: int) -> dict[bytes, int]:
        return {address: link for address, link in self._links.items() if len(address) == _SIZES[family]}

    def add(self, addresses: Iterable[bytes], source: bytes) -> Mapping[bytes, int]:
        for address in self._each(addresses):
            self.sources.setdefault(address, source)
        return {}

    def remove(self, addresses: Iterable[bytes]) -> Mapping[bytes, int]:
        for address in self._each(addresses):
            self.sources.pop(address, None)
        return {}

    def _each(self, addresses: Iterable[bytes]) -> Iterator[bytes]:
        """One after the other. Routes that come or go together are watched at their end."""
        listed = list(addresses)
        for address in listed:
            answered(self.before_commit)
            yield address
        if listed:
            self.after_commit()


class RoutedNode(NetnsNode):
    """The node under test with the addresses that are local by these routes."""

    def __init__(self, routes: SimulatedRoutes) -> None:
        self._routes = routes

    def is_local(self, address: bytes) -> bool:
        return address in self._routes.sources or super().is_local(address)

    def source_towards(self, destination: bytes) -> bytes:
        return self._routes.sources.get(destination) or super().source_towards(destination)

    def leads_beyond(self, address: bytes) -> bool:
        return address not in self._routes.sources and super().leads_beyond(address)


def _nothing() -> None:
    pass
