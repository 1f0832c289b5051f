"""What is here of a mode, by names alone, so that a mode of which nothing is here need not be imported: tables of nf_tables, and proxy
processes, which are called as their tables are. In the network namespace of the calling thread."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.nftables.connection import Connection, KernelError
from proxyconfig_agent.netlink.nftables.messages import Kind, Table, query

_SOCKETS = Path("/proc/thread-self/net/unix")
_FAMILIES = (uapi.NFPROTO_IPV4, uapi.NFPROTO_IPV6)


def may_be_here(*names: str) -> bool:
    """Whether a table or a proxy process has one of these names; true as well where that cannot be read. Never raises."""
    try:
        return any(map(processes, names)) or _is_table(names)
    except (KernelError, OSError):
        return True


def processes(name: str) -> list[str]:
    """Proxy processes of any agent: their own names, in order. Raises OSError."""
    words = (line.split()[-1] for line in _SOCKETS.read_text().splitlines())
    return sorted({word.removeprefix("@") for word in words if word.startswith(f"@{name}/")})


def _is_table(names: Iterable[str]) -> bool:
    tables = [Table(family, name) for name in names for family in _FAMILIES]
    with contextlib.closing(Connection()) as kernel:
        return any(kernel.get(Kind.GET_TABLE, table.family, query(table)) is not None for table in tables)
