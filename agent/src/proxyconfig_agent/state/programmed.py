"""What the kernel has, Service by Service: the result of the syncs so far, with the counts that are reported."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from proxyconfig_agent.ingest.model import ServiceName
from proxyconfig_agent.select.frontends import Frontends, count
from proxyconfig_agent.select.healthchecks import HealthCheck

ServicePorts = tuple[Frontends, ...]
"""The ports of one Service, in each of its families."""


class Programmed:
    """Written by the runner alone. A Service that was refused has no entry."""

    def __init__(self) -> None:
        self.ports = 0
        """Service ports, per family."""
        self.endpoints = 0
        """Each endpoint once per port and family; those used by Local policies only, too."""
        self.health_checks_changed = 0
        """Grows whenever `health_checks` may be others than before."""
        self._ports: dict[ServiceName, ServicePorts] = {}
        self._health_checks: dict[ServiceName, tuple[HealthCheck, ...]] = {}

    def of(self, name: ServiceName) -> ServicePorts:
        return self._ports.get(name, ())

    def frontends(self) -> Iterator[Frontends]:
        """Every Service port. The metrics page asks from its own thread: the list is made at once."""
        for ports in list(self._ports.values()):
            yield from ports

    def health_checks(self) -> list[HealthCheck]:
        """Of the Services that have a health check node port."""
        return [check for checks in self._health_checks.values() for check in checks]

    def put(self, name: ServiceName, ports: ServicePorts, health_checks: tuple[HealthCheck, ...] = ()) -> None:
        """The kernel has these ports of the Service and no others; none: nothing of it."""
        before = self.of(name)
        if ports is not before:  # after an audit all are, and there are thousands
            self._put_ports(name, before, ports)
        self._put_health_checks(name, health_checks)

    def retain(self, names: Collection[ServiceName]) -> None:
        """The kernel has nothing of any other Service."""
        for name in (self._ports.keys() | self._health_checks.keys()) - set(names):
            self.put(name, ())

    def clear(self) -> None:
        """The kernel has nothing."""
        self.retain(())

    def _put_ports(self, name: ServiceName, before: ServicePorts, ports: ServicePorts) -> None:
        self.endpoints += _endpoints(ports) - _endpoints(before)
        self.ports += len(ports) - len(before)
        if ports:
            self._ports[name] = ports
        else:
            self._ports.pop(name, None)

    def _put_health_checks(self, name: ServiceName, checks: tuple[HealthCheck, ...]) -> None:
        self.health_checks_changed += checks != self._health_checks.pop(name, ())
        if checks:
            self._health_checks[name] = checks


def _endpoints(ports: ServicePorts) -> int:
    return sum(count(one.cluster or one.local, one.family) for one in ports)
