"""Frontends to elements and a route: pure."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.dataplane.tables.model import address_sets
from proxyconfig_agent.dataplane.tables.model.address_elements import firewall, frontend_keys, protocol_and_port
from proxyconfig_agent.dataplane.tables.model.elements import comment_tail, verdict_tail
from proxyconfig_agent.dataplane.tables.model.ruleset import Elements
from proxyconfig_agent.dataplane.userspace.model import maps
from proxyconfig_agent.dataplane.userspace.model.entrances import PROTOCOLS
from proxyconfig_agent.dataplane.userspace.proxy.control.messages import Route
from proxyconfig_agent.ingest.model import Address, Policy
from proxyconfig_agent.select.frontends import Backends, Frontends


class Share(Struct, frozen=True):
    """What one Service port has in the kernel and in the proxy process."""

    elements: Elements
    """Those that no other Service port has."""
    cluster_ip: Address | None
    """Service ports can have it in common."""
    route: Route | None
    """None: nothing of it goes to the proxy."""


NOTHING = Share({}, None, None)


def lower(frontends: Frontends, settings: Settings) -> Share:
    """Everything that one Service port has. One of a protocol that the proxy does not have is as one without endpoints."""
    cluster, local = _lists(frontends)
    comment = comment_tail(str(frontends.name))
    elements = _cluster_ip(frontends, cluster, local, comment) | firewall(frontends, settings.node_addresses)
    if frontends.is_accessible:
        for name, some in _external(frontends, cluster, local, comment):
            elements.setdefault(name, {}).update(some)
    return Share(elements, frontends.cluster_ip, route_of(frontends))


def route_of(frontends: Frontends) -> Route | None:
    """What the proxy process knows of one Service port; None: nothing of it goes there."""
    cluster, local = _lists(frontends)
    return _route(frontends, cluster, local) if cluster or local else None


def key_of(frontends: Frontends) -> str:
    """The identity of its route."""
    return f"{frontends.family.value}/{frontends.name.protocol.value}/{frontends.name}"


def is_served(frontends: Frontends) -> bool:
    """Whether the proxy has its protocol."""
    return frontends.name.protocol in PROTOCOLS


def _lists(frontends: Frontends) -> tuple[Backends, Backends]:
    """The cluster list and the local list; empty where it is not in use."""
    served = is_served(frontends)
    cluster = frontends.cluster if served and frontends.uses_cluster else Backends(b"")
    return cluster, frontends.local if served and frontends.uses_local else Backends(b"")


def _route(frontends: Frontends, cluster: Backends, local: Backends) -> Route:
    own = (frontends.cluster_ip,) if frontends.cluster_ip else ()
    addresses = dict.fromkeys((*own, *frontends.external_ips, *frontends.load_balancer_ips))
    return Route(
        key=key_of(frontends),
        family=frontends.family,
        protocol=frontends.name.protocol,
        destinations=tuple(address + frontends.port.to_bytes(2) for address in addresses),
        node_port=frontends.node_port,
        # Plain bytes: what is none of them is a fault of this Service here, and of nobody in the process.
        cluster=bytes(cluster),
        local=bytes(local),
        serving=bytes(frontends.serving),
        affinity_s=frontends.affinity_s,
    )


def _cluster_ip(frontends: Frontends, cluster: Backends, local: Backends, comment: bytes) -> Elements:
    if not frontends.cluster_ip:
        return {}
    key = frontends.cluster_ip + protocol_and_port(frontends.name.protocol, frontends.port)
    by_local = frontends.internal_policy is Policy.LOCAL
    if local if by_local else cluster:
        return {maps.SERVICES: {key: verdict_tail(maps.LOCAL if by_local else maps.CLUSTER) + comment}}
    dropped = by_local and frontends.reachable and is_served(frontends)
    return {address_sets.NO_LOCAL if dropped else address_sets.NO_ENDPOINTS: {key: comment}}


def _external(frontends: Frontends, cluster: Backends, local: Backends, comment: bytes) -> Iterator[tuple[str, dict[bytes, bytes]]]:
    """The same decisions for addresses and for the NodePort. A ClusterIP among the external addresses stays what it is."""
    own = frontends.cluster_ip
    keys = [key for key in frontend_keys(frontends) if own is None or not key.startswith(own)]
    node_ports = [protocol_and_port(frontends.name.protocol, frontends.node_port)] if frontends.node_port else []
    for by_address, by_node_port, tail in _ways(frontends, cluster, local, comment):
        for name, some in ((by_address, keys), (by_node_port, node_ports)):
            if some:
                yield name, dict.fromkeys(some, tail)


def _ways(frontends: Frontends, cluster: Backends, local: Backends, comment: bytes) -> Iterator[tuple[str, str, bytes]]:
    """Set or map for addresses, that for NodePorts, and what their elements say."""
    by_local = frontends.external_policy is Policy.LOCAL
    if not cluster and not (by_local and local):
        yield address_sets.NO_ENDPOINTS, address_sets.NO_ENDPOINTS_NODEPORTS, comment
        return
    chain = maps.CLUSTER
    if by_local:
        chain = maps.EXTERNAL_LOCAL if local else maps.SHORT_CIRCUIT
    yield maps.SERVICES, maps.NODEPORTS, verdict_tail(chain) + comment
    if by_local and not local:
        yield address_sets.NO_LOCAL, address_sets.NO_LOCAL_NODEPORTS, comment
