"""The three places in the kernel that a change goes to, in the order in which nothing is lost: add, lead there, take away."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from proxyconfig_agent.dataplane.ipvs.kernel.rules import Plans, Rules
from proxyconfig_agent.dataplane.ipvs.kernel.servers import Refused, VirtualServers
from proxyconfig_agent.dataplane.port import DataplaneError, Settings
from proxyconfig_agent.ingest.model import Address, Family, text_of
from proxyconfig_agent.netlink import localroutes


class Kernel:
    """Sockets in the network namespace of the thread that made them. All methods raise OSError and nftables' KernelError."""

    def __init__(self, servers: VirtualServers, routes: localroutes.Connection, rules: Rules) -> None:
        self.servers, self.routes, self.rules = servers, routes, rules

    def close(self) -> None:
        self.servers.close()
        self.routes.close()
        self.rules.close()

    def commit(self, plans: Plans, settings: Settings, lead: Callable[[Plans], None] | None = None) -> Refused:
        """Carry the plans out; `lead` changes the rules where that is more than what the plans change.

        Where virtual servers are refused, nothing is done, and they are returned. Raises ConflictError, DataplaneError, and what
        `lead` raises."""
        if refused := self._prepare(plans):
            return refused
        for family, plan in plans.items():
            self.servers.fill(plan.servers)
            _raise_first("made local", self.routes.add(plan.routes_added, source(settings, family)))
        (lead or self.rules.lead)(plans)
        for plan in plans.values():
            self.servers.drain(plan.servers)
            _raise_first("taken back", self.routes.remove(plan.routes_removed))
        return {}

    def _prepare(self, plans: Plans) -> Refused:
        refused = {server: why for plan in plans.values() for server, why in self.servers.prepare(plan.servers).items()}
        if refused:
            self.servers.delete({server for plan in plans.values() for server in plan.servers.made} - refused.keys())
        return refused


def source(settings: Settings, family: Family) -> bytes:
    """What processes of the node have as source towards Services: else it is the ClusterIP itself, which no other node answers."""
    return next((address for address in settings.node_addresses if len(address) == family.size), b"")


def _raise_first(what: str, refused: Mapping[bytes, int]) -> None:
    for address, number in refused.items():
        raise DataplaneError(f"ipvs: {text_of(Address(address))} cannot be {what}: {os.strerror(number)}; a full resync tries again")
