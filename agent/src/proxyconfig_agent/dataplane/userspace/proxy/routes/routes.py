"""Which Service port is behind an original destination, and what is known of it: rotations, clients. Pure."""

from __future__ import annotations

from collections.abc import Callable

from proxyconfig_agent.dataplane.userspace.proxy.control.messages import Route
from proxyconfig_agent.dataplane.userspace.proxy.routes.endpoints import Affinity, Rotation, choose
from proxyconfig_agent.dataplane.userspace.proxy.routes.failures import Failures
from proxyconfig_agent.ingest.model import Family, Protocol


class ServicePort:
    """A route in use."""

    __slots__ = ("affinity", "cluster", "current", "local", "route")

    def __init__(self, route: Route, cluster: Rotation, local: Rotation, affinity: Affinity) -> None:
        self.route, self.cluster, self.local, self.affinity = route, cluster, local, affinity
        self.current = True
        """Whether it is still what the table has."""

    def choose(self, client: str, failures: Failures, tried: tuple[bytes, ...] = (), *, local: bool) -> bytes | None:
        """The endpoint that a client is to be connected to next; None: there is no other."""
        lifetime_s = self.route.affinity_s
        preferred = self.affinity.get(client, lifetime_s) if lifetime_s else None
        return choose(self.local if local else self.cluster, preferred, failures, tried)

    def connected(self, client: str, endpoint: bytes) -> None:
        """Remember the endpoint of a client, if there is affinity."""
        if self.route.affinity_s:
            self.affinity.put(client, endpoint)

    def successor(self, route: Route, now: Callable[[], float]) -> ServicePort:
        """The same Service port with a new route: its rotations go on, its clients are remembered while there is affinity."""
        affinity = self.affinity if route.affinity_s and self.route.affinity_s else Affinity(now)
        return ServicePort(route, self.cluster.changed(route.cluster), self.local.changed(route.local), affinity)


class Routes:
    """The table of the process. Work per change is proportional to the route's addresses."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._by_key: dict[str, ServicePort] = {}
        self._by_destination: dict[tuple[int, bytes], ServicePort] = {}
        self._by_node_port: dict[tuple[int, int, bytes], ServicePort] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def put(self, route: Route) -> None:
        """Serve this route, in place of the one with the same key. An address that another route had is this one's from now on."""
        before = self._by_key.get(route.key)
        if before is not None:
            self._withdraw(before)
        made = before.successor(route, self._now) if before is not None else self._first(route)
        self._by_key[route.key] = made
        for destination in route.destinations:
            self._by_destination[route.protocol, destination] = made
        if route.node_port:
            self._by_node_port[route.family, route.protocol, route.node_port.to_bytes(2)] = made

    def drop(self, key: str) -> None:
        """Serve the route no more; fine if there is none."""
        if (gone := self._by_key.pop(key, None)) is not None:
            self._withdraw(gone)

    def find(self, family: Family, protocol: Protocol, destination: bytes) -> ServicePort | None:
        """What is behind an address and port that a client sent to: a route's own, else the node port."""
        found = self._by_destination.get((protocol, destination))
        return found or self._by_node_port.get((family, protocol, destination[-2:]))

    def _first(self, route: Route) -> ServicePort:
        step = route.family.size + 2
        return ServicePort(route, Rotation(route.cluster, step), Rotation(route.local, step), Affinity(self._now))

    def _withdraw(self, port: ServicePort) -> None:
        """Take its addresses out, but for those that another route has taken over."""
        port.current = False
        route = port.route
        for destination in route.destinations:
            if self._by_destination.get((route.protocol, destination)) is port:
                del self._by_destination[route.protocol, destination]
        node_port = (route.family, route.protocol, route.node_port.to_bytes(2))
        if self._by_node_port.get(node_port) is port:
            del self._by_node_port[node_port]
