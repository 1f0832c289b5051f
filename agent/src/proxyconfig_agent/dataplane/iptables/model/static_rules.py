"""What the tables hold whatever Services there are: jumps from the built-in chains, and the chains of all Services. Pure."""

from __future__ import annotations

from proxyconfig_agent.dataplane.iptables.model import chain_names, local_detector
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Features, Fixed, Rules, Table
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.ingest.model import ANY, Address, Family, text_of

INVALID_COUNTER = "ct_state_invalid_dropped_pkts"
LOCALHOST_COUNTER = "localhost_nps_accepted_pkts"
"""nfacct objects, which have to be there before a rule names them."""
COUNTERS = (INVALID_COUNTER, LOCALHOST_COUNTER)

_NEW = "-m conntrack --ctstate NEW "
_EXTERNAL = f'{_NEW}-m comment --comment "kubernetes externally-visible service portals" -j {chain_names.EXTERNAL_SERVICES}'
_PORTALS = f'-m comment --comment "kubernetes service portals" -j {chain_names.SERVICES}'
_FIREWALL = f'{_NEW}-m comment --comment "kubernetes load balancer firewall" -j {chain_names.PROXY_FIREWALL}'
_KUBELET = f"-j {chain_names.KUBELET_FIREWALL}"

JUMPS: tuple[tuple[Chain, str], ...] = (
    (Chain(Table.FILTER, "INPUT"), _EXTERNAL),
    (Chain(Table.FILTER, "FORWARD"), _EXTERNAL),
    (Chain(Table.FILTER, "INPUT"), f'-m comment --comment "kubernetes health check service ports" -j {chain_names.NODE_PORTS}'),
    (Chain(Table.FILTER, "FORWARD"), _NEW + _PORTALS),
    (Chain(Table.FILTER, "OUTPUT"), _NEW + _PORTALS),
    (Chain(Table.FILTER, "FORWARD"), f'-m comment --comment "kubernetes forwarding rules" -j {chain_names.FORWARD}'),
    *((Chain(Table.FILTER, hook), _FIREWALL) for hook in ("INPUT", "OUTPUT", "FORWARD")),
    (Chain(Table.NAT, "OUTPUT"), _PORTALS),
    (Chain(Table.NAT, "PREROUTING"), _PORTALS),
    (Chain(Table.NAT, "POSTROUTING"), f'-m comment --comment "kubernetes postrouting rules" -j {chain_names.POSTROUTING}'),
    (Chain(Table.FILTER, "INPUT"), _KUBELET),
    (Chain(Table.FILTER, "OUTPUT"), _KUBELET),
)

HOOKS = tuple((chain, rule) for chain, rule in JUMPS if rule != _KUBELET)
"""What leads packets to the chains of this mode; the kubelet's chain is not among them."""

JUMPS_OF_IPVS: tuple[tuple[Chain, str], ...] = (
    (Chain(Table.FILTER, "INPUT"), '-m comment --comment "kubernetes health check rules" -j KUBE-NODE-PORT'),
    *(
        (Chain(Table.FILTER, hook), f'-m comment --comment "kube-proxy firewall rules" -j {chain_names.PROXY_FIREWALL}')
        for hook in ("INPUT", "FORWARD")
    ),
    (Chain(Table.FILTER, "INPUT"), f'-m comment --comment "kubernetes ipvs access filter" -j {chain_names.IPVS_FILTER.name}'),
    (Chain(Table.FILTER, "OUTPUT"), '-m comment --comment "kubernetes ipvs access filter" -j KUBE-IPVS-OUT-FILTER'),
)
"""Those that kube-proxy makes in ipvs mode instead."""

JUMPS_TO_SERVERS: tuple[tuple[Chain, str], ...] = (
    *((Chain(Table.MANGLE, hook), f"{_NEW}-j {chain_names.IPVS_EARLY_FILTER.name}") for hook in ("OUTPUT", "PREROUTING")),
    (Chain(Table.FILTER, "OUTPUT"), _EXTERNAL),
    *((Chain(Table.NAT, hook), f"-j {chain_names.IPVS_SERVICES.name}") for hook in ("OUTPUT", "PREROUTING")),
    (Chain(Table.FILTER, "INPUT"), f'-m comment --comment "kubernetes ipvs access filter" -j {chain_names.IPVS_FILTER.name}'),
)
"""Those of our ipvs mode besides JUMPS, where these chains lead to virtual servers."""

_CANARIES = tuple(Chain(table, chain_names.CANARY) for table in (Table.MANGLE, Table.NAT, Table.FILTER))
_LAST = '-m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain"'
PROTECTION = (
    '-m comment --comment "block incoming localnet connections" -d 127.0.0.0/8 ! -s 127.0.0.0/8 '
    "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"
)
"""With route_localnet anybody on the node's link could send to 127.0.0.1. The kubelet writes the very same rule."""


def fixed(settings: Settings, family: Family, features: Features) -> Fixed:
    """The jumps and chains of one family.

    The kubelet's chain is among the chains only where we have a rule in it. The jumps to it are there always, as kube-proxy's are:
    elsewhere it is made if it is missing, and what the kubelet has in it stays."""
    node_ports = node_port_rules(settings, family, localhost=serves_localhost(settings, family))
    return Fixed(JUMPS, _chains(settings, family, features), {Chain(Table.NAT, chain_names.SERVICES): node_ports})


def node_port_rules(settings: Settings, family: Family, *, localhost: bool) -> Rules:
    """What is behind the rules of all Services: NodePorts on the addresses that serve them, loopback ones if they do as well."""
    return tuple(f"{_LAST} {where} -j {chain_names.NODE_PORTS}" for where in _node_port_matches(settings, family, localhost=localhost))


def serves_localhost(settings: Settings, family: Family) -> bool:
    """Whether NodePorts are served on loopback addresses, which IPv6 cannot do."""
    return settings.localhost_node_ports and family is Family.IPV4


def _chains(settings: Settings, family: Family, features: Features) -> dict[Chain, Rules]:
    mark = f"0x{1 << settings.masquerade_bit:08x}"
    filters: dict[str, Rules] = {
        chain_names.SERVICES: (),
        chain_names.EXTERNAL_SERVICES: (),
        chain_names.FORWARD: _forward(mark, features),
        chain_names.NODE_PORTS: (),
        chain_names.PROXY_FIREWALL: (),
    }
    if serves_localhost(settings, family):
        filters[chain_names.KUBELET_FIREWALL] = (PROTECTION,)
    nats: dict[str, Rules] = {
        chain_names.SERVICES: (),
        chain_names.NODE_PORTS: (),
        chain_names.POSTROUTING: _postrouting(mark, features),
        chain_names.MARK_MASQ: (f"-j MARK --or-mark {mark}",),
    }
    if outside := local_detector.mark_masq_outside(settings.local_traffic, family):
        nats[chain_names.MARK_MASQ_OUTSIDE] = outside
    return {
        **{Chain(Table.FILTER, name): rules for name, rules in filters.items()},
        **{Chain(Table.NAT, name): rules for name, rules in nats.items()},
        **dict.fromkeys(_CANARIES, ()),
    }


def _forward(mark: str, features: Features) -> Rules:
    """Packets that conntrack cannot place would make an endpoint reset a healthy connection (kubernetes#74839)."""
    counted = f"-m nfacct --nfacct-name {INVALID_COUNTER} " if features.counters else ""
    invalid = () if features.liberal else (f"-m conntrack --ctstate INVALID {counted}-j DROP",)
    return (
        *invalid,
        f'-m comment --comment "kubernetes forwarding rules" -m mark --mark {mark}/{mark} -j ACCEPT',
        '-m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    )


def _postrouting(mark: str, features: Features) -> Rules:
    """The mark is taken off again: a packet may pass the stack a second time."""
    random = " --random-fully" if features.random_fully else ""
    return (
        f"-m mark ! --mark {mark}/{mark} -j RETURN",
        f"-j MARK --xor-mark {mark}",
        f'-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE{random}',
    )


def _node_port_matches(settings: Settings, family: Family, *, localhost: bool) -> tuple[str, ...]:
    """What NodePorts are served on: every local address, or each of those that were chosen."""
    if ANY[family] in settings.node_port_addresses:
        loopback = "::1/128" if family is Family.IPV6 else "127.0.0.0/8"
        return ("-m addrtype --dst-type LOCAL" if localhost else f"-m addrtype --dst-type LOCAL ! -d {loopback}",)
    chosen = [address for address in settings.node_port_addresses if len(address) == family.size]
    return tuple(f"-d {text_of(address)}" for address in chosen if localhost or not _is_loopback(address))


def _is_loopback(address: Address) -> bool:
    return address[0] == 127 if len(address) == 4 else address == bytes(15) + b"\1"
