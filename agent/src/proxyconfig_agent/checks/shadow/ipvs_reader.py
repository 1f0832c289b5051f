"""Reads what a kube-proxy in ipvs mode has beside its chains: virtual servers, sets of ip_set, and the addresses of its link."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import NamedTuple

from proxyconfig_agent.checks.shadow.iptables import Chains
from proxyconfig_agent.checks.shadow.ipvs import KubeProxyServers
from proxyconfig_agent.checks.walker.iptables.sets import IpSet
from proxyconfig_agent.checks.walker.ipvs import Server
from proxyconfig_agent.dataplane.iptables.model import chain_names
from proxyconfig_agent.dataplane.ipvs.model.kube_proxy import LINK, SETS
from proxyconfig_agent.dataplane.tables.model.ruleset import NFPROTO
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink import ipset, links, localroutes
from proxyconfig_agent.netlink.ipvs import connection as ipvs
from proxyconfig_agent.netlink.ipvs.messages import VirtualServer


class Sources(NamedTuple):
    """What is asked."""

    sets: ipset.Connection
    servers: ipvs.Connection
    routes: localroutes.Connection
    link: int
    """kube-proxy's, by its number; 0 is none."""


def is_ipvs(chains: Chains) -> bool:
    """Whether a kube-proxy in ipvs mode has them: in this mode alone there is such a chain, with Services or without."""
    return chain_names.IPVS_FILTER in chains.chains


def read(chains: Mapping[Family, Chains]) -> dict[Family, KubeProxyServers]:
    """Of the families of these chains, in the network namespace of the calling thread. Raises OSError."""
    with closing(ipset.Connection()) as sets, closing(ipvs.Connection()) as servers, closing(localroutes.Connection()) as routes:
        return kube_proxy_servers(chains, Sources(sets, servers, routes, links.index_of(LINK)))


def kube_proxy_servers(chains: Mapping[Family, Chains], sources: Sources) -> dict[Family, KubeProxyServers]:
    """Raises OSError."""
    sets, servers = _sets(sources.sets), _servers(sources.servers)
    return {family: KubeProxyServers(family, own, sets, servers, _bound(sources, family)) for family, own in chains.items()}


def _sets(connection: ipset.Connection) -> dict[str, IpSet]:
    found = ((name, connection.header(name)) for name in sorted(SETS & connection.names()))
    return {name: IpSet(header.kind, connection.entries(name)) for name, header in found if header}


def _servers(connection: ipvs.Connection) -> dict[VirtualServer, Server]:
    """Of both families; of the foreign ones too, as packets for a Service meet them."""
    loads = connection.loads()
    return {
        server: Server(scheduling, {each: load.weight for each, load in loads.get(server, {}).items()})
        for server, scheduling in connection.services().items()
    }


def _bound(sources: Sources, family: Family) -> dict[bytes, bytes]:
    return {address: address for address, link in sources.routes.of_links(NFPROTO[family]).items() if link == sources.link}
