"""Our userspace mode in front of a simulated kernel and a simulated process."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.support.simulator.nftables.damage import damage
from tests.support.simulator.nftables.kernel import SimulatedKernel
from tests.support.simulator.userspace.proxy import SimulatedProxy
from tests.support.simulator.userspace.rules import UserspaceRules

from proxyconfig_agent.checks.walker.path import Memory
from proxyconfig_agent.dataplane.userspace.userspace import Userspace
from proxyconfig_agent.netlink.nftables.connection import KernelError

SMALL = 6_000
"""Bytes of a transaction that has some 40 elements."""
State = dict[str, object]


class UserspaceMode:
    """See `modes.Mode`. A process ends with its agent as far as the agent's successor is concerned."""

    name = "userspace"

    def __init__(self, kernel: SimulatedKernel | None = None) -> None:
        self._kernel, self._proxy = kernel or SimulatedKernel(SMALL), SimulatedProxy()
        self.dataplane = _Simulated(self._kernel, self._proxy)
        self.rules = UserspaceRules(self._kernel, self._proxy)

    def restarted(self) -> UserspaceMode:
        return UserspaceMode(self._kernel)

    def state(self) -> State:
        """Nothing in these tables is numbered, so they are compared as they are."""
        state: State = dict(self._proxy.routes)
        for (family, table), held in self._kernel.tables.items():
            for name, chain in held.chains.items():
                rules = [rule.expressions for rule in chain.rules]
                state[f"{family} {table} chain {name}"] = chain.kind, chain.hook, chain.priority, rules
            for name, each in held.sets.items():
                elements = {(element.key, element.end): (element.value, element.verdict) for element in each.elements.values()}
                state[f"{family} {table} set {name}"] = each.flags, each.key_length, each.value_length, each.size, elements
        return state

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
