"""The chains that every packet of every Service shares. They depend on Settings and on nothing else.

services         which Service is it? word into meta priority, then `class`
class            which chain is the Service's class? `external`, `external-local` or a pick chain
external         masquerade, then the cluster list
external-local   policy Local: pods and processes of the node reach all endpoints, everybody else the local list
pick             the pick chain of a list's class (chains are made in `picks`)
"""

from __future__ import annotations

from proxyconfig_agent.dataplane.nftables.model import matches, sets
from proxyconfig_agent.dataplane.nftables.model.elements import verdict_tail
from proxyconfig_agent.dataplane.nftables.model.ruleset import Chain, Fixed, Hook, Rule, twice
from proxyconfig_agent.dataplane.nftables.model.service_mark import EXTERNAL, EXTERNAL_LOCAL, TAG
from proxyconfig_agent.dataplane.nftables.model.sets import containers
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.ingest.model import ANY, Address, Family
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.nftables import expressions as x
from proxyconfig_agent.netlink.nftables.expressions import Ct, Meta, Verdict

_PORT_UNREACHABLE = {Family.IPV4: 3, Family.IPV6: 4}
LAST_CHAIN = "cluster-ips-check"
"""It rejects what `services` did not translate, so at a cold start its rules come when every Service is there."""


def fixed(settings: Settings, family: Family) -> Fixed:
    """Containers, chains and the elements that come from Settings."""
    classes = {x.host(EXTERNAL): verdict_tail("external"), x.host(EXTERNAL_LOCAL): verdict_tail("external-local")}
    nodes = {bytes(address): b"" for address in _node_port_addresses(settings, family)}
    chains = _nat_chains(settings, family) | _check_chains(settings, family) | _base_chains(settings, family)
    return Fixed(containers(family), chains, {sets.CLASSES: classes, sets.NODEPORT_IPS: nodes})


def reject(family: Family) -> bytes:
    """Answer with "port unreachable"."""
    return x.reject(_PORT_UNREACHABLE[family])


def _nat_chains(settings: Settings, family: Family) -> dict[str, Chain]:
    mark = _mark(1 << settings.masquerade_bit)
    chosen = Rule(matches.frontend(family) + matches.classify(sets.SERVICES))
    by_nodeport = Rule(matches.on_node(settings, family) + matches.protocol_and_port(0) + matches.classify(sets.NODEPORTS))
    cluster_list, local_list = (Rule(matches.list_of(lists)) for lists in (sets.CLUSTER_LISTS, sets.LOCAL_LISTS))
    from_node = x.address_type(of_source=True, to=0) + x.equal(0, x.host(uapi.RTN_LOCAL))
    pods = [Rule(match + matches.list_of(sets.CLUSTER_LISTS), "short-circuit pod traffic") for match in matches.from_pods(settings, family)]
    return {
        "pick": Chain((Rule(matches.low() + x.verdict_lookup(sets.PICKS, 0)),)),
        "external": Chain((Rule(mark, "masquerade"), *twice(cluster_list))),
        "external-local": Chain(
            (
                *pods,
                Rule(from_node + mark, "masquerade local traffic"),
                Rule(from_node + matches.list_of(sets.CLUSTER_LISTS), "short-circuit local traffic"),
                *twice(local_list),
            )
        ),
        "class": Chain((Rule(matches.low() + x.verdict_lookup(sets.CLASSES, 0)),)),
        "services": Chain(
            (
                *_cluster_ip_masquerade(settings, family, mark),
                *twice(chosen),
                *twice(by_nodeport),
            )
        ),
    }


def _check_chains(settings: Settings, family: Family) -> dict[str, Chain]:
    destination = matches.frontend(family)
    refuse = reject(family)
    drop = x.verdict(Verdict.DROP)
    nodeport = matches.on_node(settings, family) + matches.protocol_and_port(0)
    client = destination + matches.source(family, family.size // 4 + 2)
    outside = x.lookup(sets.FIREWALL_IPS, 0) + client + x.lookup(sets.SOURCE_RANGES, 0, inverted=True)
    unallocated = [
        Rule(matches.within(matches.DESTINATION_AT[family], cidr) + drop, "Drop traffic to unallocated ClusterIPs")
        for cidr in settings.service_cidrs
        if len(cidr.base) == family.size
    ]
    return {
        "firewall-check": Chain((Rule(destination + outside + drop),)),
        "service-endpoints-check": Chain(
            (Rule(destination + x.lookup(sets.NO_ENDPOINTS, 0) + refuse), Rule(destination + x.lookup(sets.NO_LOCAL, 0) + drop))
        ),
        "nodeport-endpoints-check": Chain(
            (
                Rule(nodeport + x.lookup(sets.NO_ENDPOINTS_NODEPORTS, 0) + refuse),
                Rule(nodeport + x.lookup(sets.NO_LOCAL_NODEPORTS, 0) + drop),
            )
        ),
        LAST_CHAIN: Chain(
            (
                Rule(matches.destination(family) + x.lookup(sets.CLUSTER_IPS, 0) + refuse, "Reject traffic to invalid ports of ClusterIPs"),
                *unallocated,
            )
        ),
    }


def _base_chains(settings: Settings, family: Family) -> dict[str, Chain]:
    to_services = (Rule(x.verdict(Verdict.JUMP, "services")),)
    return {
        "nat-prerouting": Chain(to_services, Hook("nat", uapi.NF_INET_PRE_ROUTING, -100)),
        "nat-output": Chain(to_services, Hook("nat", uapi.NF_INET_LOCAL_OUT, -100)),
        "nat-postrouting": Chain(_masquerading(settings, family), Hook("nat", uapi.NF_INET_POST_ROUTING, 100)),
        "filter-prerouting-pre-dnat": Chain(_check("firewall-check"), Hook("filter", uapi.NF_INET_PRE_ROUTING, -110)),
        "filter-output-pre-dnat": Chain(_check("firewall-check"), Hook("filter", uapi.NF_INET_LOCAL_OUT, -110)),
        "filter-input": Chain(_check("nodeport-endpoints-check", "service-endpoints-check"), Hook("filter", uapi.NF_INET_LOCAL_IN, 0)),
        "filter-forward": Chain(_check("service-endpoints-check", LAST_CHAIN), Hook("filter", uapi.NF_INET_FORWARD, 0)),
        "filter-output": Chain(_check("service-endpoints-check", LAST_CHAIN), Hook("filter", uapi.NF_INET_LOCAL_OUT, 0)),
    }


def _masquerading(settings: Settings, family: Family) -> tuple[Rule, ...]:
    bit = x.host(1 << settings.masquerade_bit)
    tagged = x.meta(Meta.PRIORITY, 0) + x.masked(0, TAG) + x.unequal(0, x.host(0))
    marked = x.meta(Meta.MARK, 0) + x.bitwise(0, bit, x.host(0)) + x.unequal(0, x.host(0))
    unmark = x.meta(Meta.MARK, 0) + x.bitwise(0, x.host(0xFFFFFFFF), bit) + x.set_meta(Meta.MARK, 0)
    translated = x.ct(Ct.STATUS, 0) + x.masked(0, uapi.IPS_DST_NAT) + x.unequal(0, x.host(0))
    itself = matches.source(family, 0) + matches.destination(family, family.size // 4) + x.lookup(sets.HAIRPIN, 0)
    return (
        # The node's own packets and IPv6 ones would carry the word to the queueing disciplines.
        Rule(tagged + x.immediate(x.host(0), 0) + x.set_meta(Meta.PRIORITY, 0)),
        Rule(marked + unmark + x.masquerade_fully_random()),
        Rule(translated + itself + x.masquerade_fully_random()),
    )


def _check(*chains: str) -> tuple[Rule, ...]:
    new = x.ct(Ct.STATE, 0) + x.masked(0, uapi.CT_STATE_NEW) + x.unequal(0, x.host(0))
    return tuple(Rule(new + x.verdict(Verdict.JUMP, chain)) for chain in chains)


def _mark(bit: int) -> bytes:
    """Set the masquerade bit; the others belong to other programs."""
    return x.meta(Meta.MARK, 0) + x.bitwise(0, x.host(0xFFFFFFFF ^ bit), x.host(bit)) + x.set_meta(Meta.MARK, 0)


def _cluster_ip_masquerade(settings: Settings, family: Family, mark: bytes) -> list[Rule]:
    to_cluster_ip = matches.destination(family) + x.lookup(sets.CLUSTER_IPS, 0)
    if settings.masquerade_all:
        return [Rule(to_cluster_ip + mark, "masquerade all clusterIP traffic")]
    outside = matches.not_from_pods(settings, family)
    if outside is None:
        return []
    return [Rule(to_cluster_ip + outside + mark, "masquerade clusterIP traffic from outside cluster")]


def _node_port_addresses(settings: Settings, family: Family) -> list[Address]:
    """Those that the set holds: none if it is not asked, as every local address serves."""
    chosen = [address for address in settings.node_port_addresses if len(address) == family.size]
    return [address for address in chosen if address != ANY[family] and address not in matches.LOOPBACK[family]]
