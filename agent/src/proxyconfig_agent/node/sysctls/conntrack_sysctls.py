"""The connection tracking table: the sysctls that follow from `spec.conntrack` and the number of cores. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from proxyconfig_agent.node.sysctls.sysctls import Requested
from proxyconfig_agent.state.findings import Topic
from proxyconfig_api.spec.sections import Conntrack

CAP = 1 << 20
"""What the number of cores alone never scales the limit beyond (kube-proxy's bound, about 300 MiB of entries)."""

_PREFIX = "net.netfilter.nf_conntrack_"


def limit(conntrack: Conntrack, cores: int) -> int:
    """The entries that the table should hold at least; 0: leave it alone.

    kube-proxy's rule, but for one thing: there the cap also beats a larger `min` on machines with many cores."""
    if not conntrack.max_per_core:
        return 0
    return max(conntrack.min, min(CAP, conntrack.max_per_core * cores))


def sysctls_of(conntrack: Conntrack, cores: int) -> tuple[Requested, ...]:
    """The parameters and their values, in the order in which to set them."""
    return (*_size(limit(conntrack, cores)), *_timeouts(conntrack), *_liberal(conntrack))


def _size(entries: int) -> Iterator[Requested]:
    """Limit and hash table only grow. Four entries per bucket as in kube-proxy, which sets the same number through /sys/module."""
    if entries:
        yield Requested(f"{_PREFIX}max", str(entries), Topic.CONNTRACK, at_least=True)
        yield Requested(f"{_PREFIX}buckets", str(entries // 4), Topic.CONNTRACK, at_least=True)


def _timeouts(conntrack: Conntrack) -> Iterator[Requested]:
    timeouts = {
        "tcp_timeout_established": conntrack.tcp_established_timeout,
        "tcp_timeout_close_wait": conntrack.tcp_close_wait_timeout,
        "udp_timeout": conntrack.udp_timeout,
        "udp_timeout_stream": conntrack.udp_stream_timeout,
    }
    for name, seconds in timeouts.items():
        if seconds >= 1:
            yield Requested(f"{_PREFIX}{name}", str(int(seconds)), Topic.CONNTRACK)


def _liberal(conntrack: Conntrack) -> Iterator[Requested]:
    """On where requested; never switched off, as something else may have switched it on."""
    if conntrack.tcp_be_liberal:
        yield Requested(f"{_PREFIX}tcp_be_liberal", "1", Topic.CONNTRACK)
