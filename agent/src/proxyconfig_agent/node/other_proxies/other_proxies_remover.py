"""Removes the rules that a kube-proxy has left, and proves it by a scan."""

from __future__ import annotations

import contextlib

from proxyconfig_agent.dataplane.modes.modes import spec_of
from proxyconfig_agent.dataplane.modes.ownership import Ownership
from proxyconfig_agent.dataplane.modes.takeover import removed
from proxyconfig_agent.dataplane.port import DataplaneError
from proxyconfig_agent.netlink.nftables.connection import Connection, KernelError
from proxyconfig_agent.netlink.nftables.messages import delete_table
from proxyconfig_agent.node.other_proxies.other_proxies import Seen
from proxyconfig_agent.node.other_proxies.other_proxies_reader import tables_of
from proxyconfig_api.spec.sections import Mode


def remove(left: Seen) -> list[str]:
    """Take this away, in the network namespace of the calling thread; what a scan still finds of it. Raises DataplaneError, OSError."""
    found = _without_tables() if left.tables else []
    return found + (_without_chains() if left.canaries else [])


def _without_tables() -> list[str]:
    """Both families' in one transaction."""
    try:
        with contextlib.closing(Connection()) as kernel:
            kernel.commit([delete_table(table) for table in tables_of(kernel)])
            return [f"table {name}" for name in tables_of(kernel).values()]
    except KernelError as error:
        raise DataplaneError(f"nftables: {error}") from error


def _without_chains() -> list[str]:
    """Claimed first, so that an agent that is killed halfway leaves what the next one retires as rules of an earlier agent."""
    if unrecorded := Ownership().claim():
        raise DataplaneError(unrecorded)
    try:
        return removed(spec_of(Mode.IPTABLES).left_behind())
    finally:
        Ownership().release()
