"""The answer of a Service's health check node port: how many endpoints are ready on this node. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from proxyconfig_agent.ingest.model import EndpointSlice, Family, Node, Protocol, Service, ServiceName, ServicePort, family_of
from proxyconfig_agent.select.select import endpoints_of


class HealthCheck(Struct, frozen=True):
    """One Service in one family. kube-proxy also has one server for each."""

    service: ServiceName
    family: Family
    port: int
    local_endpoints: int = 0
    """Distinct addresses, over all ports. Those that only drain still serve, but do not count: the load balancer shall go elsewhere."""


def health_checks(service: Service, slices: Iterable[EndpointSlice], node: Node) -> tuple[HealthCheck, ...]:
    """None for most Services: only a LoadBalancer with policy Local has such a port."""
    port = service.health_check_node_port
    if not port:
        return ()
    ordered = sorted(slices, key=lambda piece: piece.name)
    families = sorted({family_of(address) for address in service.cluster_ips})
    return tuple(HealthCheck(service.name, family, port, _ready_here(ordered, family, node)) for family in families)


def _ready_here(slices: Iterable[EndpointSlice], family: Family, node: Node) -> int:
    """As kube-proxy counts (EndpointsMap.LocalReadyEndpoints): whatever the slices' ports are, the Service's or not."""
    own = [piece for piece in slices if piece.family is family]
    ports: set[tuple[str, Protocol]] = {(port.name, port.protocol) for piece in own for port in piece.ports}
    addresses = {
        endpoint[:-2]
        for name, protocol in ports
        for endpoint, traits in endpoints_of(own, ServicePort(name, protocol, 0)).items()
        if traits.ready and traits.node == node.name
    }
    return len(addresses)
