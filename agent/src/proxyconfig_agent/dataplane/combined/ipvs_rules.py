"""Which rules ipvs mode has on a node: of nf_tables, or where the kernel does not have what those need, of iptables with ip_set."""

from __future__ import annotations

from collections.abc import Iterator

from proxyconfig_agent.dataplane.combined import kinds
from proxyconfig_agent.dataplane.ipvs.ipvs import Ipvs
from proxyconfig_agent.dataplane.ipvs.kernel.connect import connected_with
from proxyconfig_agent.dataplane.port import DataplaneError, LackingError, Lifecycle, ModeInstance

OWNER = "ipvs"


def made() -> ModeInstance:
    """Raises DataplaneError where the kernel has no IPVS; what else this node lacks, the probe says."""
    try:
        return kinds.probed(Ipvs())
    except LackingError as error:
        return by_iptables(error.lack)


def by_iptables(lacking: str = "") -> Ipvs:
    """Raises DataplaneError where the kernel has no IPVS."""
    from proxyconfig_agent.dataplane.combined.ipvs_by_iptables import RulesOfIptables  # noqa: PLC0415 - costs memory

    rules = RulesOfIptables(lacking)
    try:
        return Ipvs(connected_with(rules))
    except DataplaneError:
        rules.close()
        raise


def left_behind() -> Iterator[Lifecycle]:
    """Both kinds have virtual servers."""
    return kinds.left_behind(OWNER, Ipvs, by_iptables)
