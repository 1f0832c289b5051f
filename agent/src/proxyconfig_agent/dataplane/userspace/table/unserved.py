"""The Service ports of a protocol that the proxy process does not have. No I/O."""

from __future__ import annotations

from collections.abc import Iterable

from proxyconfig_agent.dataplane.port import Refusal
from proxyconfig_agent.dataplane.userspace.lower import is_served
from proxyconfig_agent.ingest.model import ServiceName
from proxyconfig_agent.select.frontends import Frontends, PortName


class Unserved:
    """Those of one family."""

    def __init__(self) -> None:
        self._ports: dict[ServiceName, set[PortName]] = {}

    def note(self, name: PortName, new: Frontends | None) -> None:
        """The Service port is this now; None: gone."""
        ports = self._ports.setdefault(name.service, set())
        if new is None or is_served(new):
            ports.discard(name)
        else:
            ports.add(name)
        if not ports:
            del self._ports[name.service]

    def of(self, service: ServiceName) -> Iterable[PortName]:
        return self._ports.get(service, ())


def refusals(services: Iterable[ServiceName], families: Iterable[Unserved]) -> list[Refusal]:
    """What of these Services is not served, in any of these families."""
    unserved = tuple(families)
    return [_refusal(service, ports) for service in services if (ports := {port for family in unserved for port in family.of(service)})]


def _refusal(service: ServiceName, ports: Iterable[PortName]) -> Refusal:
    names = ", ".join(f"{port} ({port.protocol.name})" for port in sorted(ports))
    words = f"not served in mode userspace, whose proxy has TCP and UDP only: {names}; choose another mode for SCTP"
    return Refusal(service, words, everywhere=True, partly=True)
