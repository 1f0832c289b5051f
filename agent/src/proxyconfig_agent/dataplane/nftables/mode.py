"""The nftables mode, as the rest of the agent sees it."""

from __future__ import annotations

from collections.abc import Iterator

import structlog

from proxyconfig_agent.dataplane.metric import FAMILY, Metric, ModeMetrics
from proxyconfig_agent.dataplane.modes import traces
from proxyconfig_agent.dataplane.modes.modes import ModeSpec
from proxyconfig_agent.dataplane.nftables.model.table import TABLE
from proxyconfig_agent.dataplane.port import DataplaneError, Lifecycle, ModeInstance
from proxyconfig_agent.dataplane.userspace.proxy.control.names import LOCALHOST
from proxyconfig_agent.ingest.model import Family
from proxyconfig_api.spec.sections import Nftables as NftablesSpec
from proxyconfig_api.spec.sections import ProxyConfigSpec

_log = structlog.get_logger("nftables")


def _make() -> ModeInstance:
    from proxyconfig_agent.dataplane.combined import nftables_with_localhost  # noqa: PLC0415 - costs memory in other modes

    return nftables_with_localhost.NftablesWithLocalhost()


def _left_behind() -> Iterator[Lifecycle]:
    """A kernel without nf_tables has nothing of it, which proves the removal; so has one without what is called as its tables are."""
    if not traces.may_be_here(TABLE, LOCALHOST):
        return
    try:
        dataplane = _make()
    except DataplaneError as error:
        _log.info("nothing of nftables mode can be in this kernel", reason=str(error))
    else:
        yield dataplane


def localhost_node_ports(spec: ProxyConfigSpec) -> bool:
    """Where the spec asks for a proxy process, whatever the addresses of NodePorts are: by default they are the primary ones."""
    return (spec.nftables or NftablesSpec()).localhost_node_ports


_FAILURES = Metric("kubeproxy_sync_proxy_rules_nftables_sync_failures_total", "counter", "Syncs that failed", FAMILY)

SPEC = ModeSpec(
    make=_make,
    left_behind=_left_behind,
    localhost_node_ports=localhost_node_ports,
    localhost_families=tuple(Family),
    # The kernel loads them itself when rules need them, unless autoloading is off.
    modules=("nf_tables", "nft_chain_nat", "nft_ct", "nft_masq", "nft_nat", "nft_numgen"),
    # Without those of one family the other is served.
    optional_modules=("nft_fib_ipv4", "nft_fib_ipv6", "nft_reject_ipv4", "nft_reject_ipv6"),
    metrics=ModeMetrics(full_failures=_FAILURES, partial_failures=_FAILURES),
)
