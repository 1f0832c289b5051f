"""The tables of a simulated kernel as rules that packets meet."""

from __future__ import annotations

from tests.support.simulator.nftables import expressions as x
from tests.support.simulator.nftables.kernel import SimulatedKernel
from tests.support.simulator.nftables.machine import REJECT, Machine
from tests.support.simulator.nftables.tables import Chain, Table

from proxyconfig_agent.checks.walker.path import Hook, Passage, Verdict

_PROTOCOL_FAMILY = {4: 2, 6: 10}


class NftablesRules:
    """What the kernel holds at the moment; it may change between packets."""

    def __init__(self, kernel: SimulatedKernel) -> None:
        self._kernel = kernel

    def meet(self, hook: Hook, passage: Passage) -> Verdict:
        packet = passage.packet
        for table, chain in self._base_chains(packet.family, hook):
            if chain.kind == "nat" and (packet.source_settled if hook is Hook.POSTROUTING else packet.destination_settled):
                continue
            verdict = Machine(table, passage).run(chain)
            if verdict is REJECT:
                return Verdict.REJECT
            if verdict.code == x.DROP:
                return Verdict.DROP
        return Verdict.ACCEPT

    def _base_chains(self, family: int, hook: Hook) -> list[tuple[Table, Chain]]:
        """In the order in which packets meet them."""
        tables = [table for (of, _), table in self._kernel.tables.items() if of == _PROTOCOL_FAMILY[family]]
        found = [(table, chain) for table in tables for chain in table.chains.values() if chain.hook == hook]
        return sorted(found, key=lambda pair: pair[1].priority)
