"""The netlink socket of this mode. A kernel without nf_tables has no rules of this mode either."""

from __future__ import annotations

from proxyconfig_agent.dataplane.port import DataplaneError
from proxyconfig_agent.netlink.nftables.connection import Connection


def connected() -> Connection:
    """Raises DataplaneError that names what is lacking."""
    try:
        made = Connection()
    except OSError as error:
        raise _lacks(f"netlink sockets for netfilter (CONFIG_NETFILTER_NETLINK): {error.strerror}", "modprobe nfnetlink") from error
    if not made.has_nf_tables():
        made.close()
        raise _lacks("nf_tables (CONFIG_NF_TABLES)", "modprobe nf_tables")
    return made


def _lacks(what: str, command: str) -> DataplaneError:
    return DataplaneError(f"userspace: the kernel lacks {what}; load the module ({command}), use a newer kernel, or choose another mode")
