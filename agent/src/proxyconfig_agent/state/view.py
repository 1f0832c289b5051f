"""What the agent knows of the cluster at one moment, and what follows from it for a Service on this node. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from proxyconfig_agent.dataplane.port import Refusal
from proxyconfig_agent.dataplane.sync.quarantine import refusal_of
from proxyconfig_agent.ingest.messages import few
from proxyconfig_agent.ingest.model import EndpointSlice, Node, Service, ServiceName
from proxyconfig_agent.select.conflicts import AddressConflicts
from proxyconfig_agent.select.healthchecks import HealthCheck, health_checks
from proxyconfig_agent.select.select import select
from proxyconfig_agent.state.programmed import ServicePorts

NEEDED_FIRST = (ServiceName("default", "kubernetes"), ServiceName("kube-system", "kube-dns"))
"""What the node and its pods need to start at all: the API server and the cluster's DNS."""


class Selected(Struct, frozen=True):
    """What one Service is to have on this node; all of it from the same moment."""

    ports: ServicePorts = ()
    health_checks: tuple[HealthCheck, ...] = ()
    rejected: tuple[str, ...] = ()
    """What of the Service and its slices cannot be used, as sentences."""
    refusal: Refusal | None = None
    """It cannot be selected for: a fault of the agent."""


class ClusterView(Struct, frozen=True):
    """Services and slices by the Service that they belong to, as seen by `node`."""

    node: Node
    services: Mapping[ServiceName, Service]
    slices: Mapping[ServiceName, tuple[EndpointSlice, ...]]
    conflicts: AddressConflicts
    undecodable: Mapping[ServiceName, str]

    def names(self) -> Iterator[ServiceName]:
        """Every Service, those first that the node itself needs."""
        yield from (name for name in NEEDED_FIRST if name in self.services)
        yield from (name for name in self.services if name not in NEEDED_FIRST)
        yield from (name for name in self.undecodable if name not in self.services)

    def select(self, name: ServiceName) -> Selected:
        """Never raises: an unexpected error concerns this Service alone."""
        try:
            return self._select(name)
        except Exception as error:  # whatever the agent's own fault is, it ends nobody else's updates
            return Selected(refusal=refusal_of(name, error))

    def _select(self, name: ServiceName) -> Selected:
        service, slices = self.services.get(name), self.slices.get(name, ())
        undecodable = (self.undecodable[name],) if name in self.undecodable else ()
        if service is None:
            return Selected(rejected=undecodable)
        ports = self.conflicts.granted(select(service, slices, self.node))
        checks = self.conflicts.answered(health_checks(service, slices, self.node)) if service.health_check_node_port else ()
        return Selected(ports, checks, (*self._rejected(service, slices), *undecodable))

    def _rejected(self, service: Service, slices: tuple[EndpointSlice, ...]) -> tuple[str, ...]:
        of_slices = [sentence for piece in sorted(slices, key=lambda piece: piece.name) for sentence in piece.rejected]
        lost = self.conflicts.sentences(service)
        return (*service.rejected, *few(lost), *few(of_slices))
