"""Our nftables mode in front of a simulated kernel."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.support.simulator.nftables.canonical import State, state_of
from tests.support.simulator.nftables.damage import damage
from tests.support.simulator.nftables.kernel import SimulatedKernel
from tests.support.simulator.nftables.rules import KernelRules
from tests.support.simulator.node import NetnsNode

from proxyconfig_agent.checks.walker.path import Memory
from proxyconfig_agent.dataplane.nftables.nftables import Nftables
from proxyconfig_agent.netlink.nftables.connection import KernelError

SMALL = 6_000
"""Bytes of a transaction that has some 40 elements."""


class NftablesMode:
    """See `modes.Mode`."""

    name = "nftables"
    node = NetnsNode()

    def __init__(self, kernel: SimulatedKernel | None = None) -> None:
        self.kernel = kernel or SimulatedKernel(SMALL)
        self.dataplane = Nftables(self.kernel)
        self.rules = KernelRules(self.kernel)

    def restarted(self) -> NftablesMode:
        return NftablesMode(self.kernel)

    def state(self) -> State:
        return state_of(self.kernel)

    @staticmethod
    def remembered(memory: Memory) -> Memory:
        """Elements that packets made are deleted by packets alone."""
        return memory

    def observe(self, before: Callable[[], None], after: Callable[[], None]) -> None:
        self.kernel.before_commit, self.kernel.after_commit = before, after

    def damage(self, random: Random) -> None:
        damage(self.kernel, random)

    @staticmethod
    def refusal(number: int) -> Exception:
        return KernelError(number, "a transaction")
