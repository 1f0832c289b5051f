"""iptables mode's chains, programmed to lead to the proxy process: what it chooses among is none of theirs. Pure.

To the rules the process is an endpoint of every Service port: one for cluster lists, one for local lists. So policies, source ranges,
NodePorts and rejects are those of iptables mode. Three things differ:
nothing is masqueraded, as all traffic ends on this node;
connections of the process itself have the mark, which nothing else has here, and are left alone: an endpoint may have a Service's address;
NodePorts on loopback addresses are served in both families.
"""

from __future__ import annotations

from msgspec.structs import replace

from proxyconfig_agent.dataplane.iptables import lower as to_endpoints
from proxyconfig_agent.dataplane.iptables.model import chain_names, static_rules
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Features, Fixed, PortRules, Table
from proxyconfig_agent.dataplane.iptables.programming import Programming
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.dataplane.userspace.lower import is_served
from proxyconfig_agent.dataplane.userspace.model.entrances import Entrances
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.select.frontends import Backends, Frontends

_NONE = Backends(b"")


def redirected(frontends: Frontends, entrances: Entrances) -> Frontends:
    """A Service port whose endpoints are the process's sockets. One of a protocol that the process does not have, has none."""
    if not is_served(frontends):
        return replace(frontends, reachable=False, cluster=_NONE, local=_NONE, affinity_s=0)
    cluster, local = (_entrance(frontends, entrances, local=local) for local in (False, True))
    return replace(
        frontends,
        cluster=cluster if frontends.cluster else _NONE,
        local=local if frontends.local else _NONE,
        affinity_s=0,
        serving=_NONE,
    )


def _entrance(frontends: Frontends, entrances: Entrances, *, local: bool) -> Backends:
    ports = dict(entrances.of(frontends.family, local=local))
    return Backends(entrances.address(frontends.family) + ports[frontends.name.protocol].to_bytes(2))


def _lower(frontends: Frontends, settings: Settings, features: Features, *, large: bool) -> PortRules:
    rules = to_endpoints.lower(frontends, settings, features, large=large)
    from_process = f"-m mark --mark {mark(settings):#010x}/{mark(settings):#010x} -j RETURN"
    own = {name: (from_process, *each) if name.startswith(chain_names.ENDPOINT) else each for name, each in rules.own.items()}
    return PortRules(rules.shared, own)


def _fixed(settings: Settings, family: Family, features: Features) -> Fixed:
    made = static_rules.fixed(settings, family, features)
    unused = dict.fromkeys((Chain(Table.NAT, chain_names.POSTROUTING), Chain(Table.NAT, chain_names.MARK_MASQ)), ())
    node_ports = static_rules.node_port_rules(settings, family, localhost=settings.localhost_node_ports)
    return replace(made, chains={**made.chains, **unused}, last={Chain(Table.NAT, chain_names.SERVICES): node_ports})


def mark(settings: Settings) -> int:
    """SO_MARK of the process's connections: the bit that masquerading has in other modes."""
    return 1 << settings.masquerade_bit


TO_PROCESS = Programming(
    owner="userspace",
    fixed=_fixed,
    lower=_lower,
    unneeded=frozenset(("MARK", "MASQUERADE", "statistic", "recent", "sctp")),
)
