"""The netlink socket of a mode that keeps Services in a table of nf_tables."""

from __future__ import annotations

from proxyconfig_agent.dataplane.port import LackingError
from proxyconfig_agent.netlink.nftables.connection import Connection


def connected(mode: str) -> Connection:
    """Raises DataplaneError that names what is lacking: a kernel without nf_tables has no rules of the mode either."""
    try:
        made = Connection()
    except OSError as error:
        what = f"netlink sockets for netfilter (CONFIG_NETFILTER_NETLINK, modprobe nfnetlink): {error.strerror}"
        raise lacks(mode, what) from error
    if not made.has_nf_tables():
        made.close()
        raise lacks(mode, "nf_tables (CONFIG_NF_TABLES, modprobe nf_tables)")
    return made


def lacks(mode: str, what: str) -> LackingError:
    """The error of a mode that the kernel cannot have."""
    return LackingError(mode, f"the kernel lacks {what}")
