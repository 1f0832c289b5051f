"""The sockets of this mode. A kernel without IPVS, or without nf_tables, has nothing of this mode either."""

from __future__ import annotations

import contextlib

from proxyconfig_agent.dataplane.ipvs.kernel.kernel import Kernel
from proxyconfig_agent.dataplane.ipvs.kernel.servers import VirtualServers
from proxyconfig_agent.dataplane.port import DataplaneError
from proxyconfig_agent.dataplane.tables.model.ruleset import NFPROTO
from proxyconfig_agent.netlink import localroutes
from proxyconfig_agent.netlink.ipvs import connection as ipvs
from proxyconfig_agent.netlink.ipvs import listing
from proxyconfig_agent.netlink.nftables.connection import Connection


def connected() -> Kernel:
    """Loads the module ip_vs where the kernel may. Raises DataplaneError that names what is lacking."""
    tables = _tables()
    try:
        servers = VirtualServers(ipvs.Connection())
    except OSError as error:
        tables.close()
        raise _lacks(f"IPVS (CONFIG_IP_VS): {error.strerror}", "modprobe ip_vs") from error
    return Kernel(servers, localroutes.Connection(), tables)


def _tables() -> Connection:
    try:
        tables = Connection()
    except OSError as error:
        raise _lacks(f"netlink sockets for netfilter (CONFIG_NETFILTER_NETLINK): {error.strerror}", "modprobe nfnetlink") from error
    if not tables.has_nf_tables():
        tables.close()
        raise _lacks("nf_tables (CONFIG_NF_TABLES)", "modprobe nf_tables")
    return tables


def _lacks(what: str, command: str) -> DataplaneError:
    return DataplaneError(f"ipvs: the kernel lacks {what}; load the module ({command}), use a newer kernel, or choose another mode")


def read_kernel() -> tuple[list[str], list[bytes]]:
    """The listing of virtual servers, and our routes, for another thread than the one that has the sockets. Raises OSError."""
    with contextlib.closing(localroutes.Connection()) as routes:
        held = [address for family in NFPROTO.values() for address in routes.held(family)]
    return listing.PATH.read_text().splitlines(), held


def is_loaded() -> bool:
    """Whether IPVS is in this kernel now. Asking it would load it."""
    return listing.PATH.exists()
