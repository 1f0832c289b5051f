"""Asks the kernel for what the mode needs: conntrack with original destinations, and the rules in front of the proxy."""

from __future__ import annotations

import contextlib
import errno
from functools import cache

from proxyconfig_agent.dataplane.modes.probe import probed
from proxyconfig_agent.dataplane.port import LackingError, ProbeResult, Settings
from proxyconfig_agent.dataplane.tables.kernel import transaction
from proxyconfig_agent.dataplane.tables.model.ruleset import NFPROTO, Fixed
from proxyconfig_agent.dataplane.userspace.model.base_chains import fixed
from proxyconfig_agent.dataplane.userspace.model.entrances import PROTOCOLS, Entrance, Entrances
from proxyconfig_agent.dataplane.userspace.proxy.original_destination import UdpFlows
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink.nftables.connection import Connection, KernelError
from proxyconfig_agent.netlink.nftables.messages import Table

_TABLE = "proxyconfig-userspace-probe"
_SOME = Entrances({Entrance(family, protocol, local): 9 for family in Family for protocol in PROTOCOLS for local in (False, True)})


def probe(connection: Connection) -> ProbeResult:
    """The families that can be served. Raises DataplaneError if none can, or UDP cannot."""
    find_flows()
    lacks = {family: lack for family in Family if (lack := _lack(connection, family))}
    return probed("userspace", lacks)


def find_flows() -> None:
    """Raises DataplaneError where the kernel does not keep the original destination of a UDP flow."""
    try:
        with contextlib.closing(UdpFlows()) as flows:
            flows.original_destination(Family.IPV4, bytes(6), bytes(6))
    except OSError as error:
        if error.errno != errno.ENOENT:
            what = "netlink for conntrack (CONFIG_NF_CT_NETLINK, modprobe nf_conntrack_netlink)"
            raise LackingError("userspace", f"the kernel lacks {what}: {error.strerror}") from error


@cache
def _needed(family: Family) -> Fixed:
    return fixed(Settings(), _SOME, family)


def _lack(connection: Connection, family: Family) -> str:
    made = _needed(family)
    try:
        structure = transaction.structure(Table(NFPROTO[family], _TABLE), None, made.containers, made.chains)
        connection.commit(structure, keep=False)
    except KernelError as error:
        return f"the kernel lacks rules of nf_tables that userspace mode needs for IPv{family.value} (Linux 5.6 and later): {error}"
    return ""
