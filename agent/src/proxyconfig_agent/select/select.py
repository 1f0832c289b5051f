"""A Service and its EndpointSlices, seen from one node, as the frontends that the node answers. Pure; every mode uses the result."""

from __future__ import annotations

from collections.abc import Iterable

from proxyconfig_agent.ingest.model import Address, EndpointSlice, Family, Network, Node, Protocol, Service, ServicePort, Traits, family_of
from proxyconfig_agent.select.frontends import Backends, Frontends, PortName
from proxyconfig_agent.select.topology import Choice, Endpoint, choose, external_policy


def select(service: Service, slices: Iterable[EndpointSlice], node: Node) -> tuple[Frontends, ...]:
    """One value per port and family of the Service, in that order. Of a family without cluster IP there is none (rows 75, 76)."""
    ordered = sorted(slices, key=lambda piece: piece.name)
    found = []
    for cluster_ip in sorted(service.cluster_ips, key=len):
        family = family_of(cluster_ip)
        own = [piece for piece in ordered if piece.family is family]
        for port in service.ports:
            endpoints = endpoints_of(own, port)
            choice = choose(endpoints, service, node)
            on_node, serving = _on_node(endpoints, choice, node), _serving(port, endpoints)
            found.append(_frontends(service, port, cluster_ip, choice, on_node=on_node, serving=serving))
    return tuple(found)


def endpoints_of(slices: Iterable[EndpointSlice], port: ServicePort) -> dict[Endpoint, Traits]:
    """The endpoints behind a Service port, of slices of one family in the order of their names (rows 82, 86, 87).

    Of duplicates the later one counts, but a terminating one never hides one that is not: a pod that is about to go may have
    given its address to a new one already."""
    found: dict[Endpoint, Traits] = {}
    for piece in slices:
        size, addresses = int(piece.family.size), piece.addresses
        for slice_port in piece.ports:
            if slice_port.name != port.name or slice_port.protocol is not port.protocol:
                continue
            suffix = slice_port.port.to_bytes(2)
            for index, traits in enumerate(piece.traits):
                endpoint = addresses[index * size : (index + 1) * size] + suffix
                if traits.terminating and endpoint in found:
                    continue
                found[endpoint] = traits
    return found


def _on_node(endpoints: dict[Endpoint, Traits], choice: Choice, node: Node) -> tuple[Address, ...]:
    """The addresses in use that may be this node's own: those of endpoints that name it or no node, and those in its pod networks.

    Imported endpoints name nodes of another cluster, or virtual ones, for pods that run here."""
    here = (None, node.name)
    octets = tuple(bytes(cidr.base[: cidr.prefix // 8]) for cidr in node.pod_cidrs)
    own = {
        Address(endpoint[:-2])
        for used in (choice.cluster, choice.local)
        for endpoint in used
        if endpoints[endpoint].node in here or (endpoint.startswith(octets) and _in_pod_networks(Address(endpoint[:-2]), node))
    }
    return tuple(sorted(own)) if own else ()


def _in_pod_networks(address: Address, node: Node) -> bool:
    return any(address in cidr for cidr in node.pod_cidrs)


def _serving(port: ServicePort, endpoints: dict[Endpoint, Traits]) -> Backends:
    """Draining ones, too, and those that policies and topology do not choose: their flows are left to end by themselves (row 120)."""
    if port.protocol is not Protocol.UDP:
        return Backends(b"")
    return Backends(b"".join(sorted(endpoint for endpoint, traits in endpoints.items() if traits.serving or traits.ready)))


def _frontends(
    service: Service, port: ServicePort, cluster_ip: Address, choice: Choice, *, on_node: tuple[Address, ...], serving: Backends
) -> Frontends:
    family = family_of(cluster_ip)
    return Frontends(
        name=PortName(service.name, port.name, port.protocol),
        family=family,
        port=port.port,
        cluster_ip=cluster_ip,
        external_ips=_of(family, service.external_ips),
        load_balancer_ips=_of(family, service.load_balancer_ips),
        node_port=port.node_port,
        health_check_node_port=service.health_check_node_port,
        internal_policy=service.internal_policy,
        external_policy=external_policy(service),
        affinity_s=service.affinity_s,
        scheduler=service.scheduler,
        source_ranges=_ranges_of(family, service.source_ranges),
        reachable=choice.reachable,
        cluster=Backends(b"".join(choice.cluster)),
        local=Backends(b"".join(choice.local)),
        on_node=on_node,
        serving=serving,
    )


def _of(family: Family, addresses: tuple[Address, ...]) -> tuple[Address, ...]:
    """Most Services have none at all: asked first, as this runs for every port of a cluster."""
    return tuple(address for address in addresses if family_of(address) is family) if addresses else ()


def _ranges_of(family: Family, ranges: tuple[Network, ...]) -> tuple[Network, ...]:
    return tuple(network for network in ranges if family_of(network.base) is family) if ranges else ()
