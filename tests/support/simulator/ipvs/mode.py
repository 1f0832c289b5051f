"""Our ipvs mode in front of simulated tables, virtual servers and routes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

from tests.support.simulator.ipvs.damage import damage
from tests.support.simulator.ipvs.routes import RoutedNode, SimulatedRoutes
from tests.support.simulator.ipvs.servers import SimulatedServers
from tests.support.simulator.nftables.contents import State, contents_of
from tests.support.simulator.nftables.kernel import SimulatedKernel
from tests.support.simulator.nftables.rules import KernelRules
from tests.support.simulator.node import NetnsNode

from proxyconfig_agent.checks.walker.ipvs import IpvsRules
from proxyconfig_agent.checks.walker.path import Memory
from proxyconfig_agent.dataplane.ipvs.ipvs import Ipvs
from proxyconfig_agent.dataplane.ipvs.kernel.bound_addresses import BoundAddresses
from proxyconfig_agent.dataplane.ipvs.kernel.kernel import Kernel
from proxyconfig_agent.dataplane.ipvs.kernel.servers import VirtualServers
from proxyconfig_agent.dataplane.ipvs.kernel.tables import Tables
from proxyconfig_agent.dataplane.ipvs.sync.reaper import PERIOD_S
from proxyconfig_agent.dataplane.ipvs.sync.watch import Watch
from proxyconfig_agent.ingest.model import Address
from proxyconfig_agent.netlink.nftables.connection import KernelError

SMALL = 6_000
"""Bytes of a transaction that has some 40 elements."""


class SimulatedIpvs:
    """The three places in the kernel that the mode writes to; `strangers` is how often somebody else did."""

    def __init__(self) -> None:
        self.tables, self.servers, self.routes = SimulatedKernel(SMALL), SimulatedServers(), SimulatedRoutes(NetnsNode())
        self.strangers = 0


class IpvsMode:
    """See `modes.Mode`."""

    name = "ipvs"

    def __init__(self, kernel: SimulatedIpvs | None = None) -> None:
        self.kernel = kernel or SimulatedIpvs()
        self.dataplane = _Simulated(self.kernel)
        self.rules = IpvsRules(KernelRules(self.kernel.tables), self.kernel.servers.servers)
        self.node = RoutedNode(self.kernel.routes)

    def restarted(self) -> IpvsMode:
        return IpvsMode(self.kernel)

    def state(self) -> State:
        """What drains is part of it: where nobody has a connection, that is nothing after the next `disturbed`."""
        state = contents_of(self.kernel.tables)
        state |= {str(key): (server.scheduling, dict(server.destinations)) for key, server in self.kernel.servers.servers.items()}
        return state | {"routes": dict(self.kernel.routes.sources)}

    @staticmethod
    def remembered(memory: Memory) -> Memory:
        """Clients are remembered beside the virtual servers."""
        return memory

    def observe(self, before: Callable[[], None], after: Callable[[], None]) -> None:
        for each in (self.kernel.tables, self.kernel.servers, self.kernel.routes):
            each.before_commit, each.after_commit = before, after

    def damage(self, random: Random) -> None:
        damage(self.kernel.tables, self.kernel.servers, self.kernel.routes, random)
        self.kernel.strangers += 1

    @staticmethod
    def refusal(number: int) -> Exception:
        return KernelError(number, "a transaction")


class _Simulated(Ipvs):
    """It has a simulated clock, and looks at nothing of the machine that the test runs on."""

    def __init__(self, kernel: SimulatedIpvs) -> None:
        self.now = 0.0
        simulated = Kernel(VirtualServers(kernel.servers), kernel.routes, Tables(kernel.tables))
        super().__init__(simulated, lambda: self.now)
        self._bound, self._watch = _NoLink(simulated), _Counted(kernel)

    def disturbed(self) -> bool:
        self.now += PERIOD_S
        return super().disturbed()


class _NoLink(BoundAddresses):
    """No configuration asks for one."""

    def forget(self) -> None:
        pass


class _Counted(Watch):
    """What is read is how often somebody else was there."""

    def __init__(self, kernel: SimulatedIpvs) -> None:
        self._kernel, self._known = kernel, kernel.strangers

    def changed_by_us(self) -> None:
        pass

    def disturbed(self, addresses: Callable[[], Iterable[Address]]) -> bool:
        del addresses
        known, self._known = self._known, self._kernel.strangers
        return known != self._known
