"""What goes, and keeps its connections until they end: destinations with weight 0, and virtual servers that are no longer wanted.

The kernel holds all of it, too: after a restart, what has weight 0 and is not wanted drains.
"""

from __future__ import annotations

from collections.abc import Callable, Set

from msgspec import Struct, field

from proxyconfig_agent.dataplane.ipvs.delta import Pairs, ServerDelta
from proxyconfig_agent.ingest.model import Protocol
from proxyconfig_agent.netlink.ipvs.messages import Destination, VirtualServer

LIMIT_S = 3600.0
"""So long at most. An idle connection of TCP is forgotten after 15 minutes (ipvs.tcpTimeout); this ends those that are never idle. Clients
of UDP stay while their endpoint serves: replies of another one would not find the flow that conntrack has."""


class Reaped(Struct):
    """What has nothing left to keep."""

    destinations: Pairs = field(default_factory=list)
    servers: list[VirtualServer] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.destinations or self.servers)


class Draining:
    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._since: dict[VirtualServer, dict[Destination, float]] = {}
        self.retired: set[VirtualServer] = set()

    def __bool__(self) -> bool:
        return bool(self._since)

    def of(self, server: VirtualServer) -> Set[Destination] | None:
        """None: nothing of it drains."""
        since = self._since.get(server)
        return since.keys() if since else None

    def adopt(self, server: VirtualServer, destinations: Set[Destination]) -> None:
        """These had weight 0 already."""
        if destinations:
            self._since.setdefault(server, {}).update(dict.fromkeys(destinations, self._now()))

    def follow(self, delta: ServerDelta) -> None:
        """The kernel has it."""
        now = self._now()
        for server, destination in (*delta.revived, *delta.removed):
            self._forget(server, destination)
        for server, destination in delta.drained:
            self._since.setdefault(server, {}).setdefault(destination, now)
        for server in delta.deleted:
            self._since.pop(server, None)
        self.retired.difference_update(delta.changed, delta.made, delta.deleted)
        self.retired.update(delta.retired)

    def over(self, connections: Callable[[VirtualServer, Destination], int | None]) -> Reaped:
        """What is to be deleted: those without connections, and those that have drained for too long. `connections` says how many a
        destination has; None: it is not there any more."""
        found = Reaped()
        for server, since in list(self._since.items()):
            for destination in [each for each, begun in since.items() if self._is_over(server, begun, connections(server, each))]:
                found.destinations.append((server, destination))
        gone = set(found.destinations)
        found.servers = [server for server in self.retired if self._is_empty(server, gone)]
        with_their_servers = set(found.servers)
        found.destinations = [pair for pair in found.destinations if pair[0] not in with_their_servers]
        return found

    def _is_over(self, server: VirtualServer, begun: float, connections: int | None) -> bool:
        return not connections or (server.protocol != Protocol.UDP and self._now() - begun >= LIMIT_S)

    def _is_empty(self, server: VirtualServer, gone: Set[tuple[VirtualServer, Destination]]) -> bool:
        return all((server, destination) in gone for destination in self._since.get(server, {}))

    def _forget(self, server: VirtualServer, destination: Destination) -> None:
        since = self._since.get(server, {})
        since.pop(destination, None)
        if not since:
            self._since.pop(server, None)
