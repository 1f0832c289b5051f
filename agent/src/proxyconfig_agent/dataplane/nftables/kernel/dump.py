"""The elements of this mode's sets, out of the kernel. It writes nothing."""

from __future__ import annotations

from proxyconfig_agent.dataplane.nftables.kernel.held_elements import HeldElements
from proxyconfig_agent.dataplane.nftables.model import sets
from proxyconfig_agent.dataplane.nftables.model.service_mark import id_in
from proxyconfig_agent.dataplane.tables.kernel.dump import elements, in_answers
from proxyconfig_agent.netlink.nftables.connection import Connection
from proxyconfig_agent.netlink.nftables.messages import Kind, Table, query


def held_elements(connection: Connection, table: Table, containers: dict[str, int]) -> HeldElements:
    """The elements of the sets in `containers` (name: length of keys), without those that packets put there."""
    held = HeldElements()
    for name, key_length in containers.items():
        if name != sets.AFFINITY:
            held.fill(name, elements(connection, table, name, key_length))
    return held


def affinity_ids(connection: Connection, table: Table, key_length: int) -> set[int]:
    """The ids for which clients are remembered. Packets add clients all the time, so this is not one consistent picture."""
    answers = connection.stream(Kind.GET_ELEMENTS, table.family, query(table, sets.AFFINITY))
    return {id_in(key) for key, _ in in_answers(answers, key_length)}
