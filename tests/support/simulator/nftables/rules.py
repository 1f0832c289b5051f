"""The tables of a simulated kernel as rules that packets meet."""

from __future__ import annotations

import math

from tests.support.simulator.nftables.kernel import SimulatedKernel

from proxyconfig_agent.checks.walker.nftables.rules import NftablesRules
from proxyconfig_agent.checks.walker.path import Hook, Passage, Verdict


class KernelRules:
    """What the kernel holds at the moment; it may change between packets."""

    def __init__(self, kernel: SimulatedKernel) -> None:
        self._kernel = kernel
        self._held = kernel.tables
        self._rules = NftablesRules(self._held)

    def meet(self, hook: Hook, passage: Passage, after: float = -math.inf, before: float = math.inf) -> Verdict:
        """Every transaction makes other tables."""
        if self._held is not self._kernel.tables:
            self._held = self._kernel.tables
            self._rules = NftablesRules(self._held)
        return self._rules.meet(hook, passage, after, before)
