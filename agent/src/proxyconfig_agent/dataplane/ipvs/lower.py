"""Frontends to virtual servers and elements: pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from msgspec import Struct

from proxyconfig_agent.dataplane.ipvs.model import maps
from proxyconfig_agent.dataplane.ipvs.model.private import Kind, private_server
from proxyconfig_agent.dataplane.ipvs.model.servers import FALLBACK, Server, Servers, destinations, scheduling_of
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.dataplane.tables.model import address_sets
from proxyconfig_agent.dataplane.tables.model.address_elements import PADDING, firewall, frontend_keys, protocol_and_port
from proxyconfig_agent.dataplane.tables.model.elements import comment_tail, value_tail
from proxyconfig_agent.dataplane.tables.model.ruleset import Elements
from proxyconfig_agent.ingest.model import Address, Policy, Protocol
from proxyconfig_agent.netlink.ipvs.messages import VirtualServer
from proxyconfig_agent.select.frontends import Backends, Frontends


class Share(Struct, frozen=True):
    """What one Service port has in the kernel."""

    servers: Servers
    elements: Elements
    """Those that no other Service port has."""
    addresses: frozenset[Address]
    """Its ClusterIP and the private ones: they are local to the node. Service ports can have a ClusterIP in common."""
    on_node: tuple[Address, ...] = ()
    """Endpoints that need hairpin masquerading. Service ports can have them in common."""


NOTHING = Share({}, {}, frozenset())


def lower(frontends: Frontends, settings: Settings, lacking: Collection[str] = ()) -> Share:
    """Everything that one Service port has in the kernel. `lacking`: schedulers that this kernel does not have."""
    servers = _servers(frontends, scheduler_of(settings, lacking, frontends.scheduler))
    elements = _cluster_ip(frontends, servers) | firewall(frontends, settings.node_addresses)
    if frontends.is_accessible:
        for name, some in _external(frontends, servers).items():
            elements.setdefault(name, {}).update(some)
    addresses = frozenset(Address(server.address) for server in servers)
    if frontends.cluster_ip:
        addresses |= {frontends.cluster_ip}
    return Share(servers, elements, addresses, frontends.on_node)


def scheduler_of(settings: Settings, lacking: Collection[str], own: str = "") -> str:
    """The first that the kernel has: a Service's `own`, that of the ProxyConfig, and the one that every kernel with the mode has."""
    return next((each for each in (own, settings.ipvs.scheduler) if each and each not in lacking), FALLBACK)


def cluster_server(frontends: Frontends) -> VirtualServer:
    """The virtual server of the cluster list."""
    if frontends.cluster_ip and frontends.internal_policy is Policy.CLUSTER:
        return VirtualServer(frontends.name.protocol, frontends.cluster_ip, frontends.port)
    return private_server(frontends, Kind.CLUSTER)


def local_server(frontends: Frontends) -> VirtualServer:
    """The virtual server of the local list."""
    if frontends.cluster_ip and frontends.internal_policy is Policy.LOCAL:
        return VirtualServer(frontends.name.protocol, frontends.cluster_ip, frontends.port)
    return private_server(frontends, Kind.LOCAL)


def _servers(frontends: Frontends, scheduler: str) -> Servers:
    """Of the lists that are in use and not empty; an empty virtual server would answer late, or not at all."""
    scheduling = scheduling_of(scheduler, frontends.affinity_s)

    # Half of what a large cluster takes meanwhile, and only UDP asks for it.
    serving = destinations(frontends.serving, frontends.family) if frontends.name.protocol is Protocol.UDP else frozenset()

    def server(backends: Backends) -> Server:
        return Server(scheduling, destinations(backends, frontends.family), serving)

    found: Servers = {}
    if frontends.uses_cluster and frontends.cluster:
        found[cluster_server(frontends)] = server(frontends.cluster)
    if frontends.uses_local and frontends.local:
        found[local_server(frontends)] = server(frontends.local)
    return found


def _cluster_ip(frontends: Frontends, servers: Servers) -> Elements:
    if not frontends.cluster_ip:
        return {}
    key = frontends.cluster_ip + protocol_and_port(frontends.name.protocol, frontends.port)
    comment = comment_tail(str(frontends.name))
    if VirtualServer(frontends.name.protocol, frontends.cluster_ip, frontends.port) in servers:
        return {maps.CLUSTER_PORTS: {key: comment}}
    local = frontends.internal_policy is Policy.LOCAL
    return {address_sets.NO_LOCAL if frontends.reachable and local else address_sets.NO_ENDPOINTS: {key: comment}}


def _external(frontends: Frontends, servers: Servers) -> Elements:
    """The same decisions for addresses and for the NodePort."""
    keys = _keys(frontends)
    elements: Elements = {}
    for by_address, by_node_port, tail in _ways(frontends, servers):
        for name, some in ((by_address, keys.addresses), (by_node_port, keys.node_ports)):
            if some:
                elements[name] = dict.fromkeys(some, tail)
    return elements


class _Keys(Struct, frozen=True):
    addresses: list[bytes]
    node_ports: list[bytes]


def _keys(frontends: Frontends) -> _Keys:
    """A ClusterIP among the external addresses stays what it is."""
    own = frontends.cluster_ip
    addresses = [key for key in frontend_keys(frontends) if own is None or not key.startswith(own)]
    node_port = frontends.node_port
    return _Keys(addresses, [protocol_and_port(frontends.name.protocol, node_port)] if node_port else [])


def _ways(frontends: Frontends, servers: Servers) -> Iterator[tuple[str, str, bytes]]:
    """Set or map for addresses, that for NodePorts, and what their elements say."""
    comment = comment_tail(str(frontends.name))
    cluster, local = cluster_server(frontends), local_server(frontends)
    by_local = frontends.external_policy is Policy.LOCAL
    if cluster not in servers and not (by_local and local in servers):
        yield address_sets.NO_ENDPOINTS, address_sets.NO_ENDPOINTS_NODEPORTS, comment
        return
    if not by_local:
        yield maps.SERVICES, maps.NODEPORTS, _to(cluster) + comment
        return
    if cluster in servers:
        yield maps.SHORT_CIRCUIT, maps.SHORT_CIRCUIT_NODEPORTS, _to(cluster) + comment
    if local in servers:
        yield maps.LOCAL_SERVICES, maps.LOCAL_NODEPORTS, _to(local) + comment
    else:
        yield address_sets.NO_LOCAL, address_sets.NO_LOCAL_NODEPORTS, comment


def _to(server: VirtualServer) -> bytes:
    return value_tail(server.address + server.port.to_bytes(2) + PADDING)
