"""The hooks of a mode's tables: without them a table is complete, and no packet meets it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.frames import attributes
from proxyconfig_agent.netlink.nftables import messages as wire
from proxyconfig_agent.netlink.nftables.connection import Connection
from proxyconfig_agent.netlink.nftables.messages import Kind, Message, Table


def taken(connection: Connection, tables: Iterable[Table]) -> list[Message]:
    """Take the hooks of those of the tables that are there and have them. Raises KernelError."""
    return [wire.unhooked(table) for table, hooked in _here(connection, tables) if hooked]


def given(connection: Connection, tables: Iterable[Table]) -> list[Message]:
    """Give those of the tables that are there, and have none, their hooks back. Raises KernelError."""
    return [wire.hooked(table) for table, hooked in _here(connection, tables) if not hooked]


def _here(connection: Connection, tables: Iterable[Table]) -> Iterator[tuple[Table, bool]]:
    for table in tables:
        found = connection.get(Kind.GET_TABLE, table.family, wire.query(table))
        if found is not None:
            flags = int.from_bytes(dict(attributes(found)).get(uapi.NFTA_TABLE_FLAGS, b""))
            yield table, not flags & uapi.NFT_TABLE_F_DORMANT
