"""The sockets of this mode. A kernel without IPVS has nothing of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from proxyconfig_agent.dataplane.ipvs.kernel.kernel import Kernel
from proxyconfig_agent.dataplane.ipvs.kernel.rules import Rules
from proxyconfig_agent.dataplane.ipvs.kernel.servers import VirtualServers
from proxyconfig_agent.dataplane.ipvs.kernel.tables import Tables
from proxyconfig_agent.dataplane.port import DataplaneError
from proxyconfig_agent.dataplane.tables.kernel import connect as nf_tables
from proxyconfig_agent.dataplane.tables.model.ruleset import NFPROTO
from proxyconfig_agent.netlink import localroutes
from proxyconfig_agent.netlink.ipvs import connection as ipvs
from proxyconfig_agent.netlink.ipvs import listing


def connected() -> Kernel:
    """Loads the module ip_vs where the kernel may. Raises DataplaneError that names what is lacking."""
    tables = Tables(nf_tables.connected("ipvs"))
    try:
        return connected_with(tables)
    except DataplaneError:
        tables.close()
        raise


def connected_with(rules: Rules) -> Kernel:
    """The same with other rules. Raises DataplaneError."""
    try:
        servers = VirtualServers(ipvs.Connection())
    except OSError as error:
        raise nf_tables.lacks("ipvs", f"IPVS (CONFIG_IP_VS, modprobe ip_vs): {error.strerror}") from error
    return Kernel(servers, localroutes.Connection(), rules)


@contextlib.contextmanager
def read_kernel() -> Iterator[tuple[Iterable[str], Iterable[bytes]]]:
    """The listing of virtual servers, and our routes, for another thread than the one that has the sockets. Raises OSError."""
    with contextlib.closing(localroutes.Connection()) as routes, listing.PATH.open() as lines:
        yield lines, (address for family in NFPROTO.values() for address in routes.held(family))
