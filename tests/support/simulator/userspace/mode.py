"""Our userspace mode in front of a simulated kernel and a simulated process."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.support.simulator.nftables.contents import State, contents_of
from tests.support.simulator.nftables.damage import damage
from tests.support.simulator.nftables.kernel import SimulatedKernel
from tests.support.simulator.node import NetnsNode
from tests.support.simulator.userspace.proxy import SimulatedProxy
from tests.support.simulator.userspace.rules import UserspaceRules

from proxyconfig_agent.checks.walker.path import Memory
from proxyconfig_agent.dataplane.userspace.userspace import Userspace
from proxyconfig_agent.netlink.nftables.connection import KernelError

SMALL = 6_000
"""Bytes of a transaction that has some 40 elements."""


class UserspaceMode:
    """See `modes.Mode`. A process ends with its agent as far as the agent's successor is concerned."""

    name = "userspace"
    node = NetnsNode()

    def __init__(self, kernel: SimulatedKernel | None = None) -> None:
        self._kernel, self._proxy = kernel or SimulatedKernel(SMALL), SimulatedProxy()
        self.dataplane = _Simulated(self._kernel, self._proxy)
        self.rules = UserspaceRules(self._kernel, self._proxy)

    def restarted(self) -> UserspaceMode:
        return UserspaceMode(self._kernel)

    def state(self) -> State:
        """Nothing in these tables is numbered, so they are compared as they are."""
        return {**self._proxy.routes, **contents_of(self._kernel)}

    def remembered(self, memory: Memory) -> Memory:
        """The process remembers clients of Service ports that have affinity."""
        sticky = {key for key, route in self._proxy.routes.items() if route.affinity_s}
        return Memory({key: value for key, value in memory.items() if key[0] in sticky})

    def observe(self, before: Callable[[], None], after: Callable[[], None]) -> None:
        self._kernel.before_commit, self._kernel.after_commit = before, after

    def damage(self, random: Random) -> None:
        damage(self._kernel, random)

    @staticmethod
    def refusal(number: int) -> Exception:
        return KernelError(number, "a transaction")


class _Simulated(Userspace):
    def __init__(self, kernel: SimulatedKernel, proxy: SimulatedProxy) -> None:
        super().__init__(kernel)
        self._proxy = proxy
