"""The sysctl of conntrack that decides whether there is a rule for packets that conntrack takes for invalid."""

from __future__ import annotations

from pathlib import Path

_LIBERAL = Path("/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal")


def is_liberal() -> bool:
    """In the network namespace of the calling thread; not where the kernel has no such sysctl."""
    try:
        return _LIBERAL.read_text().strip() != "0"
    except OSError:
        return False
