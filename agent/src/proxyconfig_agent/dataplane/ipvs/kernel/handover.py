"""The end of virtual servers whose connections go on: connection tracking translates these from then on.

Deleting a virtual server ends its connections and deletes their entries, and what came in between would be led elsewhere, or leave the node
untranslated. So their packets are dropped for these milliseconds, and the ends send them again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping

import structlog

from proxyconfig_agent.dataplane.ipvs.kernel.servers import VirtualServers
from proxyconfig_agent.dataplane.ipvs.model.handover import guard_of, guarding, kept_by_ipvs
from proxyconfig_agent.dataplane.ipvs.model.private import is_keeper
from proxyconfig_agent.dataplane.tables.kernel import transaction
from proxyconfig_agent.dataplane.tables.kernel.actual import ActualTable
from proxyconfig_agent.ingest.model import Family, Protocol
from proxyconfig_agent.netlink.conntrack import entries, exchange
from proxyconfig_agent.netlink.conntrack.entries import Entry
from proxyconfig_agent.netlink.ipvs import listing
from proxyconfig_agent.netlink.ipvs.messages import VirtualServer
from proxyconfig_agent.netlink.nftables import messages as wire
from proxyconfig_agent.netlink.nftables.connection import Connection, KernelError

_FAMILIES = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}
_PATIENCE_S = 2.0
_PAUSE_S = 0.005
_log = structlog.get_logger("ipvs")

Connections = Mapping[Family, list[Entry]]


def hand_over(servers: VirtualServers) -> None:
    """Delete all virtual servers of ours but for the idle ones; another mode's rules serve. Where the kernel lacks nf_tables, or netlink of
    connection tracking, their connections end. Raises OSError."""
    ours = {server for server in servers.held().schedulings if not is_keeper(server)}
    with contextlib.ExitStack() as guard:
        connections: Connections = {}
        try:
            connections = _connections(ours)
            guard.enter_context(_guarded(connections))
        except (OSError, KernelError) as error:
            connections = {}
            _log.warning("connections of ipvs mode end", error=str(error), advice="a longer spec.drainPeriod lets them end by themselves")
        servers.delete(ours)
        _await_end(each for some in connections.values() for each in some)
        refused = sum(_remade(family, some) for family, some in connections.items())
    _log.info("connections handed over", connections=sum(map(len, connections.values())), refused=refused)


def _connections(servers: set[VirtualServer]) -> Connections:
    """Those that IPVS has of them. Raises OSError."""
    protocols = {server.protocol for server in servers} - {Protocol.UDP}
    return {family: list(kept_by_ipvs(_entries(number, protocols), servers)) for family, number in _FAMILIES.items()}


def _entries(family: int, protocols: set[int]) -> Iterator[Entry]:
    for protocol in sorted(protocols):
        yield from map(entries.parse, exchange.dump(family, entries.question(protocol)))


@contextlib.contextmanager
def _guarded(connections: Connections) -> Iterator[None]:
    """The kernel takes the guard away with the socket, also if the process ends. Raises OSError, KernelError."""
    with contextlib.closing(Connection()) as kernel:
        for family, some in connections.items():
            if some:
                kernel.commit(_messages(family, some))
        yield


def _messages(family: Family, some: list[Entry]) -> Iterator[wire.Message]:
    table, guard = guard_of(family), guarding(some, family)
    yield wire.new_owned_table(table)
    yield from transaction.structure(table, ActualTable(awake=True), guard.containers, guard.chains)
    yield from transaction.added(table, [guard.elements])


def _await_end(some: Iterable[Entry]) -> None:
    """IPVS deletes connections a moment after their virtual server, and their entries with them. Raises OSError."""
    clients = {(entry.protocol, entry.original.source, entry.original.destination) for entry in some}
    deadline = time.monotonic() + _PATIENCE_S
    while not clients.isdisjoint(listing.connections()) and time.monotonic() < deadline:
        time.sleep(_PAUSE_S)


def _remade(family: Family, some: list[Entry]) -> int:
    """How many the kernel refused. Raises OSError."""
    requests = [request for entry in some for request in (entries.deletion(entry), entries.insertion(entry))]
    refused = [each for each in exchange.commit(_FAMILIES[family], requests) if each.number != errno.ENOENT] if requests else []
    if refused:
        _log.warning("connections not handed over", connections=len(refused), error=os.strerror(refused[0].number))
    return len(refused)
