"""The chains around IPVS. They depend on Settings and on nothing else.

services    external addresses and NodePorts become the address of a virtual server, by the class of the client

IPVS takes what has the address of a virtual server at input (99) and output (-98), behind these chains, and sends it on through output
and postrouting; replies come back through forward. So what is checked at forward in nftables mode is checked at input here.
"""

from __future__ import annotations

from proxyconfig_agent.dataplane.ipvs.model import maps
from proxyconfig_agent.dataplane.ipvs.model.maps import containers
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.dataplane.tables.model import address_sets, checks, matches
from proxyconfig_agent.dataplane.tables.model.ruleset import NFPROTO, Chain, Fixed, Hook, Rule
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.nftables import expressions as x
from proxyconfig_agent.netlink.nftables.expressions import Ct, Verdict

LAST_CHAIN = checks.CLUSTER_IPS
_BEFORE_IPVS = -99
"""At output, behind the translation of destinations (-100) and before IPVS (-98): a virtual server that drains is not to answer."""
_BEFORE_OTHERS = -101
"""Before other programs translate destinations (-100): addresses of Services are local to the node here, and rules for everything that is
sent to a local address, as CNI's portmap has them for host ports, would take what is sent to a ClusterIP."""
_ORIGINAL_DESTINATION = {Family.IPV4: Ct.DST_IP, Family.IPV6: Ct.DST_IP6}


def fixed(settings: Settings, family: Family) -> Fixed:
    """Containers, chains and the elements that come from Settings."""
    unserved = matches.frontend(family) + x.lookup(maps.CLUSTER_PORTS, 0, inverted=True)
    chains = {"services": _services(settings, family)} | checks.chains(settings, family, unserved) | _base_chains(settings, family)
    gone = matches.destination(family) + x.lookup(maps.DRAINING_IPS, 0) + x.verdict(Verdict.DROP)
    chains[LAST_CHAIN] = Chain((*chains[LAST_CHAIN].rules, Rule(gone, "Drop new connections to ClusterIPs that are gone")))
    return Fixed(containers(family), chains, {address_sets.NODEPORT_IPS: checks.node_port_elements(settings, family)})


def _services(settings: Settings, family: Family) -> Chain:
    """A look-up that misses ends the rule: the order is the control flow. What is sent to a ClusterIP stays as it is, at any port."""
    mark = checks.mark(1 << settings.masquerade_bit)
    from_node = x.address_type(of_source=True, to=0) + x.equal(0, x.host(uapi.RTN_LOCAL))
    everybody = [(b"", mark, "")]
    own = [(match, b"", "short-circuit pod traffic") for match in matches.from_pods(settings, family)]
    own.append((from_node, mark, "short-circuit local traffic"))
    outside = [(b"", b"", "")]

    def rules(found: tuple[bytes, bytes, bytes]) -> list[Rule]:
        return [
            Rule(client + each + marking + _translate(family), comment)
            for each, clients in zip(found, (everybody, own, outside), strict=True)
            for client, marking, comment in clients
        ]

    by_address = rules(
        (_by_address(maps.SERVICES, family), _by_address(maps.SHORT_CIRCUIT, family), _by_address(maps.LOCAL_SERVICES, family))
    )
    by_node_port = rules(
        (
            _by_node_port(maps.NODEPORTS, settings, family),
            _by_node_port(maps.SHORT_CIRCUIT_NODEPORTS, settings, family),
            _by_node_port(maps.LOCAL_NODEPORTS, settings, family),
        )
    )
    kept = matches.destination(family) + x.lookup(address_sets.CLUSTER_IPS, 0) + x.keep_destination(NFPROTO[family], 0)
    return Chain((*checks.masquerade_cluster_ips(settings, family), *by_address, Rule(kept, "for no rule of others"), *by_node_port))


def _base_chains(settings: Settings, family: Family) -> dict[str, Chain]:
    to_services = (Rule(x.verdict(Verdict.JUMP, "services")),)
    base_chains = checks.base_chains((checks.NODEPORT_ENDPOINTS, checks.SERVICE_ENDPOINTS, checks.CLUSTER_IPS), _BEFORE_IPVS)
    direct = Rule(matches.destination(family) + x.lookup(maps.PRIVATE_IPS, 0) + x.verdict(Verdict.DROP), "only maps lead there")
    for name in checks.BEFORE_TRANSLATION:
        base_chains[name] = Chain((direct, *base_chains[name].rules), base_chains[name].hook)
    return {
        "nat-prerouting": Chain(to_services, Hook("nat", uapi.NF_INET_PRE_ROUTING, _BEFORE_OTHERS)),
        "nat-output": Chain(to_services, Hook("nat", uapi.NF_INET_LOCAL_OUT, _BEFORE_OTHERS)),
        "nat-postrouting": Chain(_masquerading(settings, family), Hook("nat", uapi.NF_INET_POST_ROUTING, 100)),
        **base_chains,
    }


def _masquerading(settings: Settings, family: Family) -> tuple[Rule, ...]:
    """Of what IPVS alone has translated, the status says nothing; the original destination does."""
    translated = x.ct(Ct.STATUS, 0) + x.masked(0, uapi.IPS_DST_NAT) + x.unequal(0, x.host(0))
    to_cluster_ip = x.original(_ORIGINAL_DESTINATION[family], 0) + x.lookup(address_sets.CLUSTER_IPS, 0)
    itself = matches.source(family, 0) + matches.destination(family, family.size // 4) + x.lookup(address_sets.HAIRPIN, 0)
    from_cluster_ip, bound = matches.source(family, 0) + x.lookup(address_sets.CLUSTER_IPS, 0), settings.ipvs.binds_addresses
    masquerade = x.masquerade_fully_random()
    return (
        Rule(checks.marked(1 << settings.masquerade_bit) + masquerade),
        Rule(translated + itself + masquerade),
        Rule(to_cluster_ip + itself + masquerade),
        *((Rule(from_cluster_ip + masquerade, "processes of this node, to an address that a link has"),) if bound else ()),
    )


def _by_address(services: str, family: Family) -> bytes:
    return matches.frontend(family) + x.lookup(services, 0, 8)


def _by_node_port(node_ports: str, settings: Settings, family: Family) -> bytes:
    return matches.on_node(settings, family) + matches.protocol_and_port(0) + x.lookup(node_ports, 0, 8)


def _translate(family: Family) -> bytes:
    """To the address and port in registers from 8 on."""
    return x.destination_nat(NFPROTO[family], 8, 8 + family.size // 4)
