"""The proxy process as the agent sees it: it has the routes of the real one, and never ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from proxyconfig_agent.dataplane.userspace.kernel.proxy import Proxy
from proxyconfig_agent.dataplane.userspace.model.entrances import PROTOCOLS, Entrance, Entrances
from proxyconfig_agent.dataplane.userspace.proxy.control.messages import Route
from proxyconfig_agent.dataplane.userspace.proxy.routes.routes import Routes, ServicePort
from proxyconfig_agent.ingest.model import Address, Family, Protocol

_FIRST_PORT = 50_000


class SimulatedProxy(Proxy):
    """It listens on the same ports wherever it is."""

    def __init__(self) -> None:
        super().__init__()
        self.routes: dict[str, Route] = {}
        entrances = (Entrance(family, protocol, local) for family in Family for protocol in PROTOCOLS for local in (False, True))
        self._entrances = Entrances({entrance: number for number, entrance in enumerate(entrances, _FIRST_PORT)})
        self._table = Routes(lambda: 0.0)

    @property
    def is_running(self) -> bool:
        return True

    def start(self, addresses: tuple[Address, ...]) -> Entrances:
        self._entrances = Entrances(self._entrances.ports, addresses)
        return self._entrances

    def replace(self, routes: Mapping[str, Route], udp_idle_s: float, mark: int = 0) -> list[str]:
        assert udp_idle_s > 0
        assert not mark, "rules of nf_tables know the process's packets by their priority"
        self.put(routes.values())
        return [key for key in self.routes if key not in routes]

    def put(self, routes: Iterable[Route]) -> None:
        for route in routes:
            self.routes[route.key] = route
            self._table.put(route)

    def drop(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.routes.pop(key, None)
            self._table.drop(key)

    def entrance_at(self, family: Family, protocol: Protocol, address: bytes, port: int) -> Entrance | None:
        """The socket that a packet arrives at."""
        if address != self._entrances.address(family):
            return None
        found = (each for each, number in self._entrances.ports.items() if number == port)
        return next((each for each in found if (each.family, each.protocol) == (family, protocol)), None)

    def find(self, family: Family, protocol: Protocol, destination: bytes) -> ServicePort | None:
        """What the real process would find behind an original destination."""
        return self._table.find(family, protocol, destination)
