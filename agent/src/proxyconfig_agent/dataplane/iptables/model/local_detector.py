"""The matches that distinguish traffic of this node's pods from other traffic.

kube-proxy uses the first network of a family alone. With one network, or an interface, these are its words. With several, a rule
for each says "from a pod", and a chain of our own says "from none of them": it returns for each network, then marks.
"""

from __future__ import annotations

from proxyconfig_agent.dataplane.iptables.model.chain_names import MARK_MASQ, MARK_MASQ_OUTSIDE
from proxyconfig_agent.dataplane.port import LocalTraffic
from proxyconfig_agent.ingest.model import Family, family_of


def from_pods(local: LocalTraffic, family: Family) -> tuple[str, ...]:
    """A match for each kind of local traffic; none if it cannot be told."""
    if local.interface:
        return (f"-i {local.interface}",)
    if local.interface_prefix:
        return (f"-i {local.interface_prefix}+",)
    return tuple(f"-s {network}" for network in local.cidrs if family_of(network.base) is family)


def masquerade_others(local: LocalTraffic, family: Family) -> str:
    """The end of a rule that has traffic masqueraded if it is not from a pod; empty if that cannot be told."""
    match from_pods(local, family):
        case ():
            return ""
        case (only,):
            return f"! {only} -j {MARK_MASQ}"
        case _:
            return f"-j {MARK_MASQ_OUTSIDE}"


def mark_masq_outside(local: LocalTraffic, family: Family) -> tuple[str, ...]:
    """The rules of our own chain; none if it is not needed."""
    networks = from_pods(local, family)
    return (*(f"{network} -j RETURN" for network in networks), f"-j {MARK_MASQ}") if len(networks) > 1 else ()
