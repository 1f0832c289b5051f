"""A full resync of one family's nf_tables table: the transactions from what it holds to what it should hold. No I/O.

What rejects packets that no Service has taken gets its rules with the last of them, as in nftables mode.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from proxyconfig_agent.dataplane.ipvs.model.base_chains import LAST_CHAIN, fixed
from proxyconfig_agent.dataplane.ipvs.model.table import table_of
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.dataplane.tables.delta import Delta
from proxyconfig_agent.dataplane.tables.kernel import transaction
from proxyconfig_agent.dataplane.tables.kernel.actual import ActualTable
from proxyconfig_agent.dataplane.tables.model import address_sets
from proxyconfig_agent.dataplane.tables.model.ruleset import Chain, Elements
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink.nftables import messages as wire
from proxyconfig_agent.netlink.nftables.messages import Message

CHUNK = 5_000
"""Elements of one transaction, as in nftables mode."""

_FIRST = frozenset((address_sets.FIREWALL_IPS, address_sets.SOURCE_RANGES))
"""Protection comes before what it protects."""


class TableSync:
    def __init__(self, family: Family, settings: Settings, held: ActualTable | None, elements: Elements, chunk: int = CHUNK) -> None:
        self._table, self._chunk = table_of(family), chunk
        self._fixed = fixed(settings, family)
        self._incompatible = held is not None and not held.fits(self._fixed.containers, self._fixed.chains)
        self._held = None if self._incompatible else held
        self._elements = {} if self._incompatible else elements
        self.cold = held is None
        """The table is not there."""

    def transactions(self, wanted: Elements) -> Iterator[list[Message]]:
        """In order; empty ones where nothing is lacking. `wanted`: the elements of all Services."""
        difference = compared(self._elements, {**wanted, **self._fixed.elements})
        steps = _in_steps(difference, self._chunk)
        yield [*self._structure(), *self._changed(next(steps))]
        for step in steps:
            yield list(self._changed(step))
        yield self._last_chain()

    def foreign(self) -> list[Message]:
        """Chains and sets of our table that we do not know."""
        if self._held is None:
            return []
        return list(transaction.foreign(self._table, self._held, self._fixed.containers, self._fixed.chains))

    def _structure(self) -> list[Message]:
        chains = dict(self._fixed.chains)
        if self._held and LAST_CHAIN in self._held.chains:
            del chains[LAST_CHAIN]
        else:
            chains[LAST_CHAIN] = Chain(())
        before = [wire.delete_table(self._table)] if self._incompatible else []
        return [*before, *transaction.structure(self._table, self._held, self._fixed.containers, chains)]

    def _changed(self, difference: Delta) -> Iterator[Message]:
        yield from transaction.deleted(self._table, [difference.deleted])
        yield from transaction.added(self._table, [difference.added])

    def _last_chain(self) -> list[Message]:
        wanted = self._fixed.chains[LAST_CHAIN]
        held = self._held.chains.get(LAST_CHAIN) if self._held else None
        return [] if held and held.has_rules_of(wanted) else list(transaction.rewritten(self._table, LAST_CHAIN, wanted))


def compared(held: Mapping[str, Mapping[bytes, bytes]], wanted: Elements) -> Delta:
    """What makes `wanted` of `held`."""
    difference = Delta()
    for name in dict.fromkeys((*held, *wanted)):
        have, want = held.get(name, {}), wanted.get(name, {})
        if stale := {key: tail for key, tail in have.items() if want.get(key) != tail}:
            difference.deleted[name] = stale
        if lacking := {key: tail for key, tail in want.items() if have.get(key) != tail}:
            difference.added[name] = lacking
    return difference


def _in_steps(difference: Delta, limit: int) -> Iterator[Delta]:
    """What protects is in the first one. What is deleted and added again is in one step."""
    first = Delta(*({name: some for name, some in each.items() if name in _FIRST} for each in (difference.deleted, difference.added)))
    rest = [
        (name, key)
        for name in dict.fromkeys((*difference.added, *difference.deleted))
        if name not in _FIRST
        for key in dict.fromkeys(chain(difference.added.get(name, {}), difference.deleted.get(name, {})))
    ]
    steps = [_part(difference, rest[at : at + limit]) for at in range(0, len(rest), limit)]
    if len(steps) <= 1:
        for step in steps:
            first.absorb(step)
        yield first
    else:
        yield first
        yield from steps


def _part(difference: Delta, some: list[tuple[str, bytes]]) -> Delta:
    part = Delta()
    for name, key in some:
        for of, into in ((difference.deleted, part.deleted), (difference.added, part.added)):
            if key in of.get(name, {}):
                into.setdefault(name, {})[key] = of[name][key]
    return part
