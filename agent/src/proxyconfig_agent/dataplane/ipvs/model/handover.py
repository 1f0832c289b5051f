"""Which connections connection tracking can have from IPVS, and what keeps their packets out meanwhile. Pure.

With `net.ipv4.vs.conntrack` each connection has an entry that says where IPVS leads it. Those of external addresses and NodePorts are
translated by connection tracking from the second packet on, as rules have led them to their virtual server; they need nothing. Those of
ClusterIPs are translated by IPVS alone, and the kernel deletes their entries with the virtual server.
"""

from __future__ import annotations

from collections.abc import Container as Collected
from collections.abc import Iterable, Iterator, Sequence

from proxyconfig_agent.dataplane.tables.model import matches
from proxyconfig_agent.dataplane.tables.model.datatypes import INTEGER, set_of
from proxyconfig_agent.dataplane.tables.model.ruleset import NFPROTO, Chain, Elements, Fixed, Hook, Rule
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.conntrack.entries import Direction, Entry
from proxyconfig_agent.netlink.ipvs.messages import VirtualServer
from proxyconfig_agent.netlink.nftables import expressions as x
from proxyconfig_agent.netlink.nftables.expressions import Base, Verdict
from proxyconfig_agent.netlink.nftables.messages import Table

GUARD = "proxyconfig-handover"
_FLOWS = "flows"
_BEFORE_TRACKING = -300
_ENDED = frozenset((uapi.TCP_CONNTRACK_TIME_WAIT, uapi.TCP_CONNTRACK_CLOSE))


def kept_by_ipvs(entries: Iterable[Entry], servers: Collected[VirtualServer]) -> Iterator[Entry]:
    """The connections that IPVS alone translates for these virtual servers, without those that have ended."""
    for entry in entries:
        destination = entry.original.destination
        by_ipvs = entry.reply.source != destination and not entry.status & uapi.IPS_DST_NAT
        if by_ipvs and entry.state not in _ENDED and VirtualServer(entry.protocol, *destination) in servers:
            yield entry


def guard_of(family: Family) -> Table:
    return Table(NFPROTO[family], GUARD)


def guarding(entries: Sequence[Entry], family: Family) -> Fixed:
    """Drop the packets of exactly these connections, in both directions, before connection tracking sees them: they are sent again."""
    ends = matches.source(family, 0) + matches.destination(family, family.size // 4)
    flow = ends + x.payload(Base.TRANSPORT, 0, 4, family.size // 2)
    drop = Rule(flow + x.lookup(_FLOWS, 0) + x.verdict(Verdict.DROP))
    chains = {
        "arriving": Chain((drop,), Hook("filter", uapi.NF_INET_PRE_ROUTING, _BEFORE_TRACKING)),
        "leaving": Chain((drop,), Hook("filter", uapi.NF_INET_LOCAL_OUT, _BEFORE_TRACKING)),
    }
    flows = set_of((INTEGER, 2 * family.size + 4), "connections that are handed over")
    elements: Elements = {_FLOWS: {_key(each): b"" for entry in entries for each in (entry.original, entry.reply)}}
    return Fixed({_FLOWS: flows}, chains, elements)


def _key(direction: Direction) -> bytes:
    source, destination = direction
    return source.address + destination.address + source.port.to_bytes(2) + destination.port.to_bytes(2)
