"""The userspace mode, as the rest of the agent sees it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

import structlog

from proxyconfig_agent.dataplane.modes import ModeSpec
from proxyconfig_agent.dataplane.port import DataplaneError, Lifecycle, ModeInstance
from proxyconfig_agent.ingest.model import Family
from proxyconfig_api.spec import ProxyConfigSpec

_LOOPBACK = ipaddress.ip_address("127.0.0.1")

_log = structlog.get_logger("userspace")


def _make() -> ModeInstance:
    from proxyconfig_agent.dataplane.userspace.userspace import Userspace  # noqa: PLC0415 - costs memory in other modes

    return Userspace()


def _left_behind() -> Iterator[Lifecycle]:
    """A kernel without nf_tables has nothing of it, which proves the removal."""
    try:
        dataplane = _make()
    except DataplaneError as error:
        _log.info("nothing of userspace mode can be in this kernel", reason=str(error))
    else:
        yield dataplane


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
    modules=("nf_tables", "nft_chain_nat", "nft_ct", "nft_nat", "nf_conntrack_netlink"),
    # Without those of one family the other is served.
    optional_modules=("nft_fib_ipv4", "nft_fib_ipv6", "nft_reject_ipv4", "nft_reject_ipv6"),
)
