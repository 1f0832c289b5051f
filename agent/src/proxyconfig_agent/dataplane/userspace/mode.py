"""The userspace mode, as the rest of the agent sees it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from proxyconfig_agent.dataplane.modes import traces
from proxyconfig_agent.dataplane.modes.modes import ModeSpec
from proxyconfig_agent.dataplane.modes.ownership import Ownership
from proxyconfig_agent.dataplane.port import Lifecycle, ModeInstance
from proxyconfig_agent.dataplane.userspace.proxy.control.names import ALL_SERVICES
from proxyconfig_agent.ingest.model import Family
from proxyconfig_api.spec.sections import Mode, ProxyConfigSpec

_LOOPBACK = ipaddress.ip_address("127.0.0.1")

_NF_TABLES = ("nf_tables", "nft_chain_nat", "nft_ct", "nft_nat", "nft_fib_ipv4", "nft_fib_ipv6", "nft_reject_ipv4", "nft_reject_ipv6")
_XTABLES = ("xt_addrtype", "xt_comment", "xt_conntrack", "xt_mark", "xt_nat", "xt_tcpudp", "ipt_REJECT", "ip6t_REJECT")


def _make() -> ModeInstance:
    from proxyconfig_agent.dataplane.combined import userspace_rules  # noqa: PLC0415 - costs memory in other modes

    return userspace_rules.made()


def _left_behind() -> Iterator[Lifecycle]:
    if Ownership(owner=Mode.USERSPACE.value) or traces.may_be_here(ALL_SERVICES):
        from proxyconfig_agent.dataplane.combined import userspace_rules  # noqa: PLC0415 - costs memory where nothing of it is

        yield from userspace_rules.left_behind()


def localhost_node_ports(spec: ProxyConfigSpec) -> bool:
    """Where the addresses of NodePorts are all, or hold a loopback one."""
    addresses = spec.node_addresses
    if addresses.primary:
        return False
    return not addresses.cidrs or any(_LOOPBACK in cidr.network or cidr.network.is_loopback for cidr in addresses.cidrs)


SPEC = ModeSpec(
    make=_make,
    left_behind=_left_behind,
    localhost_node_ports=localhost_node_ports,
    localhost_families=tuple(Family),
    modules=("nf_conntrack_netlink",),
    optional_modules=(*_NF_TABLES, "ip_tables", "ip6_tables", *_XTABLES),
)
