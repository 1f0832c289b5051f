"""iptables mode's chains, programmed to lead to virtual servers: what those choose among is none of theirs. Pure.

To the rules a virtual server is the only endpoint of a list. So policies, source ranges, NodePorts and rejects are those of iptables mode.
What is the same for all ClusterIPs is a rule with a set, so a Service port that has nothing but its ClusterIP has no rule at all.

IPVS takes packets at input and output, behind the translation: what is checked at forward in iptables mode is checked at input here.
"""

from __future__ import annotations

from msgspec.structs import replace

from proxyconfig_agent.dataplane.combined.ipvs_entries import CLUSTER_IP, DRAINING, LOCAL_IPS, LOOP_BACK, NO_LOCAL, name_of
from proxyconfig_agent.dataplane.iptables.model import chain_names, local_detector, static_rules
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Features, Fixed, Rules, Table
from proxyconfig_agent.dataplane.iptables.programming import Programming
from proxyconfig_agent.dataplane.ipvs.lower import cluster_server, local_server
from proxyconfig_agent.dataplane.ipvs.model.private import RANGES
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.ingest.model import Address, Family, family_of
from proxyconfig_agent.netlink.ipvs.messages import VirtualServer
from proxyconfig_agent.select.frontends import Backends, Frontends

_NONE = Backends(b"")
_PING = {Family.IPV4: "icmp", Family.IPV6: "ipv6-icmp"}


def led(frontends: Frontends) -> Frontends | None:
    """A Service port whose endpoints are its virtual servers, without what sets say of it; None if no rule is left."""
    has_cluster, has_local = frontends.uses_cluster and frontends.cluster, frontends.uses_local and frontends.local
    made = replace(
        frontends,
        cluster_ip=None,
        external_ips=_without(frontends.cluster_ip, frontends.external_ips),
        load_balancer_ips=_without(frontends.cluster_ip, frontends.load_balancer_ips),
        affinity_s=0,
        scheduler="",
        cluster=_endpoint(cluster_server(frontends)) if has_cluster else _NONE,
        local=_endpoint(local_server(frontends)) if has_local else _NONE,
        on_node=(),
        serving=_NONE,
    )
    return made if made.is_accessible or made.health_check_node_port else None


def _without(own: Address | None, addresses: tuple[Address, ...]) -> tuple[Address, ...]:
    """A ClusterIP among the external addresses stays what it is."""
    return tuple(address for address in addresses if address != own)


def _endpoint(server: VirtualServer) -> Backends:
    return Backends(server.address + server.port.to_bytes(2))


def _fixed(settings: Settings, family: Family, features: Features) -> Fixed:
    """Without the rule against packets that conntrack cannot place: what IPVS sends on is not known to it in all states."""
    made = static_rules.fixed(settings, family, replace(features, liberal=True))
    postrouting = Chain(Table.NAT, chain_names.POSTROUTING)
    chains = {
        **made.chains,
        chain_names.IPVS_SERVICES: _to_local_ips(settings, family),
        postrouting: (*_masquerading(settings, family, features), *made.chains[postrouting]),
        chain_names.IPVS_EARLY_FILTER: _early_filter(family),
        chain_names.IPVS_FILTER: _filter(family),
    }
    last = {**made.last, Chain(Table.FILTER, chain_names.SERVICES): _unallocated(settings, family)}
    return Fixed((*made.jumps, *static_rules.JUMPS_TO_SERVERS), chains, last)


def _to_local_ips(settings: Settings, family: Family) -> Rules:
    """Before all other rules, as these addresses are local to the node: no NodePort is served on them, and nobody's host port."""
    cluster_ip = f"{_set('cluster IPs and ports', CLUSTER_IP, family)} dst,dst"
    others = f"-j {chain_names.MARK_MASQ}" if settings.masquerade_all else local_detector.masquerade_others(settings.local_traffic, family)
    masquerade = (f"{cluster_ip} {others}",) if others else ()
    return (f"-m set ! --match-set {name_of(LOCAL_IPS, family)} dst -j RETURN", *masquerade, "-j ACCEPT")


def _masquerading(settings: Settings, family: Family, features: Features) -> Rules:
    target = f"-j MASQUERADE{' --random-fully' if features.random_fully else ''}"
    hairpin = f"{_set('endpoints of this node that reach themselves', LOOP_BACK, family)} dst,dst,src {target}"
    bound = f"{_set('processes of this node, to an address that a link has', LOCAL_IPS, family)} src {target}"
    return (hairpin, *((bound,) if settings.ipvs.binds_addresses else ()))


def _early_filter(family: Family) -> Rules:
    """Before IPVS sees what processes of the node send: it would answer itself for a virtual server that drains."""
    return (
        f"-d {RANGES[family]} -j DROP",
        f"{_set('cluster IPs and ports without an endpoint on this node', NO_LOCAL, family)} dst,dst -j DROP",
        f"{_set('cluster IPs that are gone', DRAINING, family)} dst -j DROP",
    )


def _filter(family: Family) -> Rules:
    """No process of the node is reached at a ClusterIP."""
    return (
        "-m conntrack ! --ctstate NEW -j RETURN",
        f"{_set('cluster IPs and ports', CLUSTER_IP, family)} dst,dst -j RETURN",
        "-m conntrack --ctstate DNAT -j RETURN",
        f"! -p {_PING[family]} {_set('addresses of virtual servers', LOCAL_IPS, family)} dst -j REJECT",
    )


def _unallocated(settings: Settings, family: Family) -> Rules:
    networks = [cidr for cidr in settings.service_cidrs if family_of(cidr.base) is family]
    return tuple(f"-d {cidr} {_set('unallocated cluster IPs', LOCAL_IPS, family, inverted=True)} dst -j DROP" for cidr in networks)


def _set(comment: str, stem: str, family: Family, *, inverted: bool = False) -> str:
    return f'-m comment --comment "{comment}" -m set {"! " if inverted else ""}--match-set {name_of(stem, family)}'


def _further(family: Family) -> dict[str, tuple[str, str]]:
    """The sets are there while the probe asks."""
    return {"ip sets": ("nat", f"-m set --match-set {name_of(CLUSTER_IP, family)} dst,dst")}


TO_SERVERS = Programming(
    owner="ipvs",
    fixed=_fixed,
    hooks=(*static_rules.HOOKS, *static_rules.JUMPS_TO_SERVERS),
    unneeded=frozenset(("statistic", "recent")),
    further=_further,
)
