"""The kernel's counters that say something about a change, by the names that they have in a NodeProxy."""

from __future__ import annotations

from collections.abc import Mapping

from proxyconfig_agent.checks.probes.signals import CONNTRACK_DROPS, ICMP_UNREACHABLE, INSERTS_FAILED, TCP_RESETS
from proxyconfig_agent.node import snmp
from proxyconfig_agent.node.conntrack import statistics


def read() -> Mapping[str, int | None]:
    """Since the network namespace is there; None where the kernel has no such counter."""
    tracked, refused = statistics.read(), snmp.read()
    return {
        INSERTS_FAILED: tracked.insert_failed,
        CONNTRACK_DROPS: tracked.dropped,
        TCP_RESETS: refused.resets,
        ICMP_UNREACHABLE: refused.unreachable,
    }
