"""Chains and rules for what is not served: source ranges, addresses without endpoints, ports that nobody has. They depend on Settings."""

from __future__ import annotations

from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.dataplane.tables.model import address_sets, matches
from proxyconfig_agent.dataplane.tables.model.ruleset import Chain, Hook, Rule
from proxyconfig_agent.ingest.model import ANY, Address, Family
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.nftables import expressions as x
from proxyconfig_agent.netlink.nftables.expressions import Ct, Meta, Verdict

_PORT_UNREACHABLE = {Family.IPV4: 3, Family.IPV6: 4}
SERVICE_ENDPOINTS = "service-endpoints-check"
NODEPORT_ENDPOINTS = "nodeport-endpoints-check"
CLUSTER_IPS = "cluster-ips-check"
"""It rejects what no Service has taken, so at a cold start its rules come when every Service is there."""
_FIREWALL = "firewall-check"
BEFORE_TRANSLATION = ("filter-prerouting-pre-dnat", "filter-output-pre-dnat")


def reject(family: Family) -> bytes:
    """Answer with "port unreachable"."""
    return x.reject(_PORT_UNREACHABLE[family])


def mark(bit: int) -> bytes:
    """Set the masquerade bit; the others belong to other programs."""
    return x.meta(Meta.MARK, 0) + x.bitwise(0, x.host(0xFFFFFFFF ^ bit), x.host(bit)) + x.set_meta(Meta.MARK, 0)


def marked(bit: int) -> bytes:
    """Only what has the masquerade bit, which is taken off."""
    octets = x.host(bit)
    is_set = x.meta(Meta.MARK, 0) + x.bitwise(0, octets, x.host(0)) + x.unequal(0, x.host(0))
    return is_set + x.meta(Meta.MARK, 0) + x.bitwise(0, x.host(0xFFFFFFFF), octets) + x.set_meta(Meta.MARK, 0)


def masquerade_cluster_ips(settings: Settings, family: Family) -> list[Rule]:
    """Mark what goes to ClusterIPs, but for pods' own traffic if it can be told."""
    to_cluster_ip = matches.destination(family) + x.lookup(address_sets.CLUSTER_IPS, 0)
    marking = mark(1 << settings.masquerade_bit)
    if settings.masquerade_all:
        return [Rule(to_cluster_ip + marking, "masquerade all clusterIP traffic")]
    outside = matches.not_from_pods(settings, family)
    if outside is None:
        return []
    return [Rule(to_cluster_ip + outside + marking, "masquerade clusterIP traffic from outside cluster")]


def chains(settings: Settings, family: Family, unserved: bytes = b"") -> dict[str, Chain]:
    """`unserved`: what else has to match before a packet to a ClusterIP is rejected, or dropped."""
    frontend, refuse, drop = matches.frontend(family), reject(family), x.verdict(Verdict.DROP)
    nodeport = matches.on_node(settings, family) + matches.protocol_and_port(0)
    client = frontend + matches.source(family, family.size // 4 + 2)
    outside = x.lookup(address_sets.FIREWALL_IPS, 0) + client + x.lookup(address_sets.SOURCE_RANGES, 0, inverted=True)
    no_endpoints, no_local = x.lookup(address_sets.NO_ENDPOINTS, 0) + refuse, x.lookup(address_sets.NO_LOCAL, 0) + drop
    no_endpoints_nodeport = x.lookup(address_sets.NO_ENDPOINTS_NODEPORTS, 0) + refuse
    no_local_nodeport = x.lookup(address_sets.NO_LOCAL_NODEPORTS, 0) + drop
    to_cluster_ip = matches.destination(family) + x.lookup(address_sets.CLUSTER_IPS, 0)
    return {
        _FIREWALL: Chain((Rule(frontend + outside + drop),)),
        SERVICE_ENDPOINTS: Chain((Rule(frontend + no_endpoints), Rule(frontend + no_local))),
        NODEPORT_ENDPOINTS: Chain((Rule(nodeport + no_endpoints_nodeport), Rule(nodeport + no_local_nodeport))),
        CLUSTER_IPS: Chain(
            (
                Rule(to_cluster_ip + unserved + refuse, "Reject traffic to invalid ports of ClusterIPs"),
                *_unallocated(settings, family, unserved),
            )
        ),
    }


def base_chains(at_input: tuple[str, ...], at_output: int = 0) -> dict[str, Chain]:
    """Where packets are checked; `at_input`: by which chains those are that end on this node; `at_output`: the priority for its own."""
    everywhere = check(SERVICE_ENDPOINTS, CLUSTER_IPS)
    return {
        BEFORE_TRANSLATION[0]: Chain(check(_FIREWALL), Hook("filter", uapi.NF_INET_PRE_ROUTING, -110)),
        BEFORE_TRANSLATION[1]: Chain(check(_FIREWALL), Hook("filter", uapi.NF_INET_LOCAL_OUT, -110)),
        "filter-input": Chain(check(*at_input), Hook("filter", uapi.NF_INET_LOCAL_IN, 0)),
        "filter-forward": Chain(everywhere, Hook("filter", uapi.NF_INET_FORWARD, 0)),
        "filter-output": Chain(everywhere, Hook("filter", uapi.NF_INET_LOCAL_OUT, at_output)),
    }


def check(*chains: str) -> tuple[Rule, ...]:
    """Jump to these with the first packet of a connection."""
    new = x.ct(Ct.STATE, 0) + x.masked(0, uapi.CT_STATE_NEW) + x.unequal(0, x.host(0))
    return tuple(Rule(new + x.verdict(Verdict.JUMP, chain)) for chain in chains)


def node_port_elements(settings: Settings, family: Family) -> dict[bytes, bytes]:
    """The addresses that `nodeport-ips` holds: none if all serve, as every local address does then."""
    chosen = [address for address in settings.node_port_addresses if len(address) == family.size]
    return {bytes(address): b"" for address in chosen if _is_single(address, family)}


def _is_single(address: Address, family: Family) -> bool:
    return address != ANY[family] and address not in matches.LOOPBACK[family]


def _unallocated(settings: Settings, family: Family, unserved: bytes) -> list[Rule]:
    drop = unserved + x.verdict(Verdict.DROP)
    return [
        Rule(matches.within(matches.DESTINATION_AT[family], cidr) + drop, "Drop traffic to unallocated ClusterIPs")
        for cidr in settings.service_cidrs
        if len(cidr.base) == family.size
    ]
