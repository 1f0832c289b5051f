"""The iptables mode, as the rest of the agent sees it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

from proxyconfig_agent.dataplane.iptables.metrics import INVALID_DROPPED, LOCALHOST_ACCEPTED, METRICS
from proxyconfig_agent.dataplane.modes.modes import ModeSpec
from proxyconfig_agent.dataplane.modes.ownership import Ownership
from proxyconfig_agent.dataplane.port import Lifecycle, ModeInstance
from proxyconfig_agent.ingest.model import Family
from proxyconfig_api.spec.sections import Iptables as IptablesSpec
from proxyconfig_api.spec.sections import ProxyConfigSpec

ROUTE_LOCALNET = "net.ipv4.conf.all.route_localnet"
_LOOPBACK = ipaddress.ip_address("127.0.0.1")


def _make() -> ModeInstance:
    from proxyconfig_agent.dataplane.iptables.iptables import Iptables  # noqa: PLC0415 - costs memory in other modes

    return Iptables()


def _left_behind() -> Iterator[Lifecycle]:
    """Only where an agent programmed iptables: the chains have kube-proxy's names, and may be those of a kube-proxy that runs."""
    if Ownership():
        yield _make()


def localhost_node_ports(spec: ProxyConfigSpec) -> bool:
    """Where the addresses of NodePorts are all, or hold a loopback one, and the spec does not switch it off."""
    addresses = spec.node_addresses
    if addresses.primary or not (spec.iptables or IptablesSpec()).localhost_node_ports:
        return False
    cidrs = addresses.of_family(Family.IPV4)
    return not cidrs or any(_LOOPBACK in cidr.network or cidr.network.is_loopback for cidr in cidrs)


def _sysctls(spec: ProxyConfigSpec) -> Mapping[str, str]:
    """Without it the kernel drops what comes from 127.0.0.1 for an endpoint elsewhere. KUBE-FIREWALL keeps others away from it."""
    return {ROUTE_LOCALNET: "1"} if localhost_node_ports(spec) else {}


def _counters() -> Mapping[str, int]:
    from proxyconfig_agent.dataplane.iptables.kernel import nfacct  # noqa: PLC0415
    from proxyconfig_agent.dataplane.iptables.model import static_rules  # noqa: PLC0415

    found = {
        INVALID_DROPPED.name: nfacct.packets(static_rules.INVALID_COUNTER),
        LOCALHOST_ACCEPTED.name: nfacct.packets(static_rules.LOCALHOST_COUNTER),
    }
    return {metric: packets for metric, packets in found.items() if packets is not None}


def _remains() -> Iterator[str]:
    """Chains of the legacy tables: the node may use another back end than when the rules were made."""
    from proxyconfig_agent.dataplane.iptables.tools import legacy_tables  # noqa: PLC0415

    return legacy_tables.chains()


SPEC = ModeSpec(
    make=_make,
    left_behind=_left_behind,
    modules=("xt_addrtype", "xt_comment", "xt_conntrack", "xt_mark", "xt_MASQUERADE", "xt_nat", "xt_recent", "xt_statistic", "xt_tcpudp"),
    # Of one back end (the kernel loads neither of the last two for a program without CAP_SYS_MODULE), one family, or counters.
    optional_modules=("ipt_REJECT", "ip6t_REJECT", "xt_nfacct", "xt_sctp", "nft_compat", "ip_tables", "ip6_tables"),
    localhost_node_ports=localhost_node_ports,
    sysctls=_sysctls,
    metrics=METRICS,
    counters=_counters,
    remains=_remains,
)
