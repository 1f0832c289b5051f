"""Takes a node over that kube-proxy ran in ipvs mode: its virtual servers get our mark, and live on with their connections; then its link
and its sets go. Its chains are those of iptables mode, which removes them when it finds them claimed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import structlog

from proxyconfig_agent.dataplane.ipvs.kernel.kernel import Kernel
from proxyconfig_agent.dataplane.ipvs.kernel.servers import Held
from proxyconfig_agent.dataplane.ipvs.model.kube_proxy import LINK, NODE_PORT_SETS, SETS, NodePort, Traces, made_by_kube_proxy
from proxyconfig_agent.dataplane.ipvs.model.servers import GROUP, TAG
from proxyconfig_agent.dataplane.modes.ownership import Ownership
from proxyconfig_agent.dataplane.tables.model.ruleset import NFPROTO
from proxyconfig_agent.ingest.model import Address, Family, Network
from proxyconfig_agent.netlink import ipset, links
from proxyconfig_agent.netlink.ipset_messages import Header
from proxyconfig_agent.netlink.ipvs.messages import VirtualServer

_log = structlog.get_logger("ipvs")


class Claimed(NamedTuple):
    servers: list[VirtualServer]
    unrecorded: str
    """Why nobody will remove kube-proxy's chains; empty if they are claimed."""


def claim(kernel: Kernel, held: Held, excluded: Iterable[Network], node_ports: Iterable[NodePort]) -> Claimed | None:
    """Mark what is kube-proxy's; None if there is nothing of it. `node_ports`: of all Services. Raises OSError."""
    index = links.index_of(LINK)
    if not index or links.group_of(index) == GROUP:
        return None
    servers = made_by_kube_proxy(held.foreign, _traces(kernel, index, node_ports), excluded)
    kernel.servers.mark(servers)
    _log.info("taken over from kube-proxy", virtual_servers=len(servers))
    return Claimed(servers, Ownership().claim())


def on_other_links(kernel: Kernel, family: Family) -> frozenset[Address]:
    """The addresses of the node's interfaces but for kube-proxy's link. Raises OSError."""
    index = links.index_of(LINK)
    return frozenset(Address(address) for address, link in kernel.routes.of_links(NFPROTO[family]).items() if link != index)


def discard() -> bool:
    """Delete its link and its sets, but for those that are ours by their limit; whether they are gone. Sets that chains name stay until
    these are. Raises OSError."""
    index = links.index_of(LINK)
    if index and links.group_of(index) != GROUP:
        links.delete(index)
    with contextlib.closing(ipset.Connection()) as sets:
        left = [name for name in sorted(SETS & sets.names()) if not _is_ours(sets.header(name)) and not sets.destroy(name)]
    return not left


def _traces(kernel: Kernel, index: int, node_ports: Iterable[NodePort]) -> Traces:
    """A kube-proxy that was ended in the middle of a sync has made virtual servers for NodePorts that none of its sets has yet."""
    local = {address: link for family in NFPROTO.values() for address, link in kernel.routes.of_links(family).items()}
    bound = frozenset(Address(address) for address, link in local.items() if link == index)
    on_node = frozenset(address for family in Family for address in on_other_links(kernel, family))
    return Traces(bound, on_node, frozenset((*_in_sets(), *node_ports)))


def _is_ours(header: Header | None) -> bool:
    return header is not None and header.limit == TAG


def _in_sets() -> Iterator[NodePort]:
    with contextlib.closing(ipset.Connection()) as sets:
        for protocol, names in NODE_PORT_SETS.items():
            yield from ((protocol, port) for name in names for port in sets.ports(name))
