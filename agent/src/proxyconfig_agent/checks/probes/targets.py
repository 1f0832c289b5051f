"""Which addresses the probes of a change ask on this node. Pure.

Addresses of both families are asked where a Service has both. A Service without endpoints is asked as well: what it answers is the same
before and after a change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from msgspec.structs import replace

from proxyconfig_agent.checks.probes.model import Absent, Kind, Target
from proxyconfig_agent.ingest.model import Address, Node, Protocol, Service, ServiceName, ServicePort, family_of
from proxyconfig_api.objects.names import NAMESPACE, PROBE
from proxyconfig_api.spec.rollout import ProbeProtocol, Probes, ProbeType, ServiceProbe

API_SERVER = ServiceName("default", "kubernetes")
DNS = ServiceName("kube-system", "kube-dns")
DNS_PORT = 53

SELF = ServiceName(NAMESPACE, PROBE)
"""Of the pods that probe: internalTrafficPolicy Local leads each of them to itself."""

LIMIT = 40
"""Addresses that are asked at once: those of a spec with as many Services as the API takes, in both families. What is beyond is named."""

Services: TypeAlias = Mapping[ServiceName, Service]
Targets: TypeAlias = tuple[Target | Absent, ...]

_KINDS = {ProbeProtocol.TCP: Kind.TCP, ProbeProtocol.HTTP: Kind.HTTP, ProbeProtocol.UDP: Kind.UDP}


def targets_of(probes: Probes, services: Services, node: Node) -> Targets:
    """What to ask, the most important first; at most LIMIT addresses."""
    found = tuple(_targets(probes, services, node))
    beyond = frozenset([each for each in found if isinstance(each, Target)][LIMIT:])
    why = f"a change asks {LIMIT} addresses at most"
    return tuple(Absent(each.name, why) if isinstance(each, Target) and each in beyond else each for each in found)


def targets_of_pod(probes: Probes, services: Services, node: Node) -> Targets:
    """What a pod on the node is to ask: itself through a Service, and the same as the node. Their names end in @Pod."""
    service = services.get(SELF)
    own: Iterable[Target | Absent] = [Absent("self", f"the Service {SELF} does not exist")]
    if service is not None and service.ports:
        own = _at("self", Kind.HTTP, service.cluster_ips, service.ports[0].port, "/")
    asked = (each for each in targets_of(probes, services, node) if isinstance(each, Target))
    return tuple(replace(each, name=f"{each.name}@Pod") for each in (*own, *asked))


def _targets(probes: Probes, services: Services, node: Node) -> Iterator[Target | Absent]:
    if probes.api_server:
        yield from _of_api_server(services)
    if probes.dns:
        yield from _of_dns(services)
    for probe in probes.services:
        yield from _of_service(probe, services, node)


def _of_api_server(services: Services) -> Iterator[Target | Absent]:
    service = services.get(API_SERVER)
    port = next((port for port in service.ports if port.protocol is Protocol.TCP), None) if service else None
    if service is None or port is None:
        yield Absent("apiServer", f"the Service {API_SERVER} does not exist")
    else:
        yield from _at("apiServer", Kind.TCP, service.cluster_ips, port.port)


def _of_dns(services: Services) -> Iterator[Target | Absent]:
    service = dns_service(services)
    for kind, protocol in ((Kind.DNS_UDP, Protocol.UDP), (Kind.DNS_TCP, Protocol.TCP)):
        name = f"dns/{protocol.name}"
        if service is None:
            yield Absent(name, f"the cluster has neither a Service {DNS} nor one with the label k8s-app=kube-dns in its namespace")
        elif _port(service, protocol, DNS_PORT) is None:
            yield Absent(name, f"the Service {service.name} has no port {DNS_PORT} of {protocol.name}")
        else:
            yield from _at(name, kind, service.cluster_ips, DNS_PORT)


def dns_service(services: Services) -> Service | None:
    """The cluster's DNS: the Service of the usual name, else the first by name that carries the label of kube-dns and CoreDNS."""
    labelled = [name for name, service in services.items() if service.is_dns and name.namespace == DNS.namespace]
    return services.get(DNS) or (services[min(labelled)] if labelled else None)


def _of_service(probe: ServiceProbe, services: Services, node: Node) -> Iterator[Target | Absent]:
    by_node_port = probe.type is ProbeType.NODE_PORT
    called, kind = ServiceName(probe.namespace, probe.name), _KINDS[probe.protocol]
    name = f"{called}:{probe.port}/{probe.protocol}{'@NodePort' if by_node_port else ''}"
    path = probe.path if kind is Kind.HTTP else ""
    service, protocol = services.get(called), Protocol.UDP if kind is Kind.UDP else Protocol.TCP
    port = _port(service, protocol, probe.port) if service else None
    if service is None:
        yield Absent(name, f"the Service {called} does not exist, or no proxy serves it")
    elif port is None:
        yield Absent(name, f"the Service {called} has no port {probe.port} of {protocol.name}")
    elif not by_node_port:
        yield from _at(name, kind, service.cluster_ips, port.port, path)
    elif not port.node_port:
        yield Absent(name, f"port {probe.port} of the Service {called} has no node port")
    else:
        yield from _at(name, kind, _own(service, node), port.node_port, path)


def _own(service: Service, node: Node) -> Iterator[Address]:
    """The node's first address of each family of the Service."""
    for family in sorted(map(family_of, service.cluster_ips)):
        yield from [address for address in node.addresses if family_of(address) is family][:1]


def _port(service: Service, protocol: Protocol, number: int) -> ServicePort | None:
    return next((port for port in service.ports if (port.protocol, port.port) == (protocol, number)), None)


def _at(name: str, kind: Kind, addresses: Iterable[Address], port: int, path: str = "") -> Iterator[Target]:
    return (Target(name, kind, address, port, path) for address in addresses)
