"""The chains that every packet of every Service shares. They depend on Settings and on nothing else.

services         which Service is it? word into meta priority, then `class`
class            which chain is the Service's class? `external`, `external-local` or a pick chain
external         masquerade, then the cluster list
external-local   policy Local: pods and processes of the node reach all endpoints, everybody else the local list
pick             the pick chain of a list's class (chains are made in `picks`)
"""

from __future__ import annotations

from functools import lru_cache

from proxyconfig_agent.dataplane.nftables.model import mark_matches, sets
from proxyconfig_agent.dataplane.nftables.model.service_mark import EXTERNAL, EXTERNAL_LOCAL, TAG
from proxyconfig_agent.dataplane.nftables.model.sets import containers
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.dataplane.tables.model import address_sets, checks, matches
from proxyconfig_agent.dataplane.tables.model.elements import verdict_tail
from proxyconfig_agent.dataplane.tables.model.ruleset import Chain, Fixed, Hook, Rule, twice
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.nftables import expressions as x
from proxyconfig_agent.netlink.nftables.expressions import Ct, Meta, Verdict

LAST_CHAIN = checks.CLUSTER_IPS


@lru_cache(maxsize=8)  # every full sync asks for the same again
def fixed(settings: Settings, family: Family) -> Fixed:
    """Containers, chains and the elements that come from Settings."""
    classes = {x.host(EXTERNAL): verdict_tail("external"), x.host(EXTERNAL_LOCAL): verdict_tail("external-local")}
    chains = _nat_chains(settings, family) | checks.chains(settings, family) | _base_chains(settings, family)
    nodes = checks.node_port_elements(settings, family)
    return Fixed(containers(family), chains, {sets.CLASSES: classes, address_sets.NODEPORT_IPS: nodes})


def _nat_chains(settings: Settings, family: Family) -> dict[str, Chain]:
    mark = checks.mark(1 << settings.masquerade_bit)
    chosen = Rule(matches.frontend(family) + mark_matches.classify(sets.SERVICES))
    by_nodeport = Rule(matches.on_node(settings, family) + matches.protocol_and_port(0) + mark_matches.classify(sets.NODEPORTS))
    cluster_list, local_list = (Rule(mark_matches.list_of(lists)) for lists in (sets.CLUSTER_LISTS, sets.LOCAL_LISTS))
    from_node = x.address_type(of_source=True, to=0) + x.equal(0, x.host(uapi.RTN_LOCAL))
    by_cluster_list = mark_matches.list_of(sets.CLUSTER_LISTS)
    pods = [Rule(match + by_cluster_list, "short-circuit pod traffic") for match in matches.from_pods(settings, family)]
    return {
        "pick": Chain((Rule(mark_matches.low() + x.verdict_lookup(sets.PICKS, 0)),)),
        "external": Chain((Rule(mark, "masquerade"), *twice(cluster_list))),
        "external-local": Chain(
            (
                *pods,
                Rule(from_node + mark, "masquerade local traffic"),
                Rule(from_node + by_cluster_list, "short-circuit local traffic"),
                *twice(local_list),
            )
        ),
        "class": Chain((Rule(mark_matches.low() + x.verdict_lookup(sets.CLASSES, 0)),)),
        "services": Chain(
            (
                *checks.masquerade_cluster_ips(settings, family),
                *twice(chosen),
                *twice(by_nodeport),
            )
        ),
    }


def _base_chains(settings: Settings, family: Family) -> dict[str, Chain]:
    to_services = (Rule(x.verdict(Verdict.JUMP, "services")),)
    return {
        "nat-prerouting": Chain(to_services, Hook("nat", uapi.NF_INET_PRE_ROUTING, -100)),
        "nat-output": Chain(to_services, Hook("nat", uapi.NF_INET_LOCAL_OUT, -100)),
        "nat-postrouting": Chain(_masquerading(settings, family), Hook("nat", uapi.NF_INET_POST_ROUTING, 100)),
        **checks.base_chains((checks.NODEPORT_ENDPOINTS, checks.SERVICE_ENDPOINTS)),
    }


def _masquerading(settings: Settings, family: Family) -> tuple[Rule, ...]:
    tagged = x.meta(Meta.PRIORITY, 0) + x.masked(0, TAG) + x.unequal(0, x.host(0))
    translated = x.ct(Ct.STATUS, 0) + x.masked(0, uapi.IPS_DST_NAT) + x.unequal(0, x.host(0))
    itself = matches.source(family, 0) + matches.destination(family, family.size // 4) + x.lookup(address_sets.HAIRPIN, 0)
    return (
        # The node's own packets and IPv6 ones would carry the word to the queueing disciplines.
        Rule(tagged + x.immediate(x.host(0), 0) + x.set_meta(Meta.PRIORITY, 0)),
        Rule(checks.marked(1 << settings.masquerade_bit) + x.masquerade_fully_random()),
        Rule(translated + itself + x.masquerade_fully_random()),
    )
