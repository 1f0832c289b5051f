"""Leaving a node to another mode: its rules take all new connections, and a virtual server goes when its last connection has ended. After
the drain period, connection tracking takes over what is still connected.

Deleting a virtual server cuts its connections, also those that begin or end just now, which IPVS counts as inactive: a handshake, or a
client that has said all and waits for the answer. So only UDP moves over before, with what was sent until then answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from proxyconfig_agent.dataplane.ipvs.kernel.handover import hand_over
from proxyconfig_agent.dataplane.ipvs.kernel.kernel import Kernel
from proxyconfig_agent.dataplane.ipvs.kernel.removal import remove
from proxyconfig_agent.dataplane.ipvs.model.private import is_keeper
from proxyconfig_agent.dataplane.tables.model.ruleset import NFPROTO
from proxyconfig_agent.ingest.model import Protocol
from proxyconfig_agent.netlink.ipvs.messages import Destination, Load, VirtualServer

PERIOD_S = 10.0


class Retirement:
    def __init__(self, kernel: Kernel, now: Callable[[], float]) -> None:
        self._kernel, self._now = kernel, now
        self._begun: float | None = None
        self._next = 0.0
        self._busy: set[VirtualServer] | None = None
        """Those that had connections the last time; None: not looked at yet."""

    def step(self, drain_s: float) -> bool:
        """Take away what has no connections, if it is time; whether nothing is left. Raises OSError, KernelError, DataplaneError."""
        now = self._now()
        if self._begun is None:
            self._kernel.rules.remove()
            self._begun, self._next = now, now + PERIOD_S
        if now >= self._begun + drain_s:
            hand_over(self._kernel.servers)
            remove(self._kernel)
            return True
        if now < self._next:
            return False
        self._next = now + PERIOD_S
        return self._reap()

    def _reap(self) -> bool:
        loads = self._loads()
        self._busy = {server for server, has in loads.items() if _has_connections(server, has)}
        if not self._busy:
            remove(self._kernel)
            return True
        self._delete({server for server in loads if server not in self._busy and not is_keeper(server)})
        return False

    def _loads(self) -> Mapping[VirtualServer, Mapping[Destination, Load]]:
        """Of all virtual servers at first, and then of those that still had connections: no other mode leads new ones to the rest."""
        if self._busy is not None:
            return {server: self._kernel.servers.loads(server) for server in self._busy}
        held = self._kernel.servers.held()
        return {server: held.loads.get(server, {}) for server in held.schedulings}

    def _delete(self, idle: set[VirtualServer]) -> None:
        """One idle virtual server stays in each family, which holds the kernel's hooks."""
        if not idle:
            return
        self._kernel.servers.delete(idle)
        addresses = {server.address for server in self._busy or ()}
        for family in NFPROTO.values():
            self._kernel.routes.remove(address for address in self._kernel.routes.held(family) if address not in addresses)


def _has_connections(server: VirtualServer, loads: Mapping[Destination, Load]) -> bool:
    return server.protocol != Protocol.UDP and any(load.active or load.inactive for load in loads.values())
