"""Leaving a node to another mode: its rules take all new connections, and a virtual server goes when its last connection has ended.

Deleting one cuts its connections, also those that begin or end just now, which IPVS counts as inactive: a handshake, or a client that has
said all and waits for the answer. So only UDP moves over before, with what was sent until then answered.
"""

from __future__ import annotations

from collections.abc import Callable

from proxyconfig_agent.dataplane.ipvs.kernel.kernel import Kernel
from proxyconfig_agent.dataplane.ipvs.kernel.removal import delete_tables, remove
from proxyconfig_agent.dataplane.ipvs.kernel.servers import Held
from proxyconfig_agent.dataplane.ipvs.model.private import is_keeper
from proxyconfig_agent.dataplane.ipvs.table.draining import LIMIT_S
from proxyconfig_agent.dataplane.tables.model.ruleset import NFPROTO
from proxyconfig_agent.ingest.model import Protocol
from proxyconfig_agent.netlink.ipvs.messages import VirtualServer

PERIOD_S = 10.0


class Retirement:
    def __init__(self, kernel: Kernel, now: Callable[[], float]) -> None:
        self._kernel, self._now = kernel, now
        self._until: float | None = None
        self._next = 0.0

    def step(self) -> bool:
        """Take away what has no connections, if it is time; whether nothing is left. Raises OSError, KernelError."""
        now = self._now()
        if self._until is None:
            delete_tables(self._kernel)
            self._until, self._next = now + LIMIT_S, now + PERIOD_S
            return False
        if now < self._next:
            return False
        self._next = now + PERIOD_S
        busy = _busy(self._kernel.servers.held()) if now < self._until else set()
        if not busy:
            remove(self._kernel)
            return True
        self._reduce(busy)
        return False

    def _reduce(self, busy: set[VirtualServer]) -> None:
        """To these, and one idle one in each family, which holds the kernel's hooks."""
        held = self._kernel.servers.held().schedulings
        self._kernel.servers.delete(server for server in held if server not in busy and not is_keeper(server))
        addresses = {server.address for server in busy}
        for family in NFPROTO.values():
            self._kernel.routes.remove(address for address in self._kernel.routes.held(family) if address not in addresses)


def _busy(held: Held) -> set[VirtualServer]:
    return {
        server
        for server, loads in held.loads.items()
        if server.protocol != Protocol.UDP and any(load.active or load.inactive for load in loads.values())
    }
