"""The sets beside the chains of ipvs mode, by kube-proxy's names, and what is in them. Pure.

KUBE-CLUSTER-IP     ClusterIPs and ports that have a virtual server
KUBE-LOOP-BACK      endpoints on this node, which are masqueraded when they reach themselves
KUBE-IPVS-IPS       the addresses of virtual servers, which are local to the node

and two that kube-proxy does not have:

KUBE-IPVS-NO-LOCAL  ClusterIPs and ports with policy Local that have no endpoint on this node
KUBE-IPVS-DRAINING  ClusterIPs that no Service has any more, with connections
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from proxyconfig_agent.dataplane.ipvs.model import maps
from proxyconfig_agent.dataplane.port import Destination
from proxyconfig_agent.dataplane.tables.model import address_sets
from proxyconfig_agent.dataplane.tables.model.ruleset import Elements
from proxyconfig_agent.ingest.model import Address, Family, Policy, Protocol
from proxyconfig_agent.netlink.ipset_messages import Entry
from proxyconfig_agent.select.frontends import Frontends, split

CLUSTER_IP, LOOP_BACK, LOCAL_IPS, NO_LOCAL, DRAINING = "CLUSTER-IP", "LOOP-BACK", "IPVS-IPS", "IPVS-NO-LOCAL", "IPVS-DRAINING"
KINDS = {
    CLUSTER_IP: "hash:ip,port",
    LOOP_BACK: "hash:ip,port,ip",
    LOCAL_IPS: "hash:ip",
    NO_LOCAL: "hash:ip,port",
    DRAINING: "hash:ip",
}
_LOCAL = (address_sets.CLUSTER_IPS, maps.PRIVATE_IPS, maps.DRAINING_IPS)


def name_of(stem: str, family: Family) -> str:
    return f"KUBE-{'6-' if family is Family.IPV6 else ''}{stem}"


def entries_of(elements: Elements, family: Family) -> dict[str, set[Entry]]:
    """Those that elements of ipvs mode's tables stand for, but for those of single Service ports."""
    size = int(family.size)
    ports = (Entry(key[:size], key[size], int.from_bytes(key[size + 4 : size + 6])) for key in elements.get(maps.CLUSTER_PORTS, {}))
    return {
        CLUSTER_IP: set(ports),
        LOCAL_IPS: {Entry(key) for name in _LOCAL for key in elements.get(name, {})},
        DRAINING: {Entry(key) for key in elements.get(maps.DRAINING_IPS, {})},
    }


def of_port(frontends: Frontends) -> frozenset[tuple[str, Entry]]:
    """Those of LOOP_BACK, which Service ports can have in common, and of NO_LOCAL: each behind the set's stem."""
    on_node, protocol = frozenset(frontends.on_node), int(frontends.name.protocol)
    lists = (frontends.cluster, frontends.local) if on_node else ()
    pairs = (pair for backends in lists for pair in split(backends, frontends.family))
    found = {(LOOP_BACK, Entry(address, protocol, port, address)) for address, port in pairs if address in on_node}
    by_local = frontends.reachable and frontends.internal_policy is Policy.LOCAL
    if frontends.cluster_ip and by_local and not frontends.local:
        found.add((NO_LOCAL, Entry(frontends.cluster_ip, protocol, frontends.port)))
    return frozenset(found)


def udp_destinations(stale: Iterable[Entry], family: Family) -> Iterator[Destination]:
    """Of entries of CLUSTER_IP that are no longer wanted."""
    return (Destination(family, Address(each.address), each.port) for each in stale if each.protocol == Protocol.UDP)
