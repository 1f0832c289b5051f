"""A full sync of one table of Services: the transactions from what it holds to what it should hold. No I/O.

What rejects packets that no Service has taken gets its rules with the last of them, so that a Service whose turn has not come is left
alone, as without any rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from msgspec import Struct, field

from proxyconfig_agent.dataplane.tables.delta import Delta
from proxyconfig_agent.dataplane.tables.kernel import transaction
from proxyconfig_agent.dataplane.tables.kernel.actual import ActualTable
from proxyconfig_agent.dataplane.tables.model import address_sets
from proxyconfig_agent.dataplane.tables.model.ruleset import Chain, Elements, Fixed
from proxyconfig_agent.netlink.nftables import messages as wire
from proxyconfig_agent.netlink.nftables.messages import Message, Table

CHUNK = 5_000
"""Elements of one transaction."""

_FIRST = frozenset((address_sets.FIREWALL_IPS, address_sets.SOURCE_RANGES))
"""Protection comes before what it protects."""


class Step(Struct):
    """One transaction: messages before and behind the elements."""

    before: list[Message] = field(default_factory=list)
    elements: Delta = field(default_factory=Delta)
    behind: list[Message] = field(default_factory=list)

    def __len__(self) -> int:
        """How many operations it is."""
        return len(self.before) + len(self.elements) + len(self.behind)

    def messages(self, table: Table) -> Iterator[Message]:
        yield from self.before
        yield from transaction.deleted(table, [self.elements.deleted])
        yield from transaction.added(table, [self.elements.added])
        yield from self.behind


class TableSync:
    """`last_chain`: the one that rejects what no Service has taken."""

    def __init__(
        self, table: Table, fixed: Fixed, last_chain: str, held: ActualTable | None, elements: Elements, *, chunk: int = CHUNK
    ) -> None:
        self._table, self._fixed, self._last_chain, self._chunk = table, fixed, last_chain, chunk
        self._incompatible = held is not None and not held.fits(fixed.containers, fixed.chains)
        self._held = None if self._incompatible else held
        self.elements = elements
        """What it holds."""
        self.cold = held is None
        """The table is not there."""

    def steps(self, wanted: Elements) -> Iterator[Step]:
        """In order; empty ones where nothing is lacking. `wanted`: the elements of all Services."""
        first, *more = _in_steps(compared({} if self._incompatible else self.elements, {**wanted, **self._fixed.elements}), self._chunk)
        yield Step(self._structure(), first)
        for difference in more:
            yield Step(elements=difference)
        yield Step(behind=self._last_rules())

    def foreign(self) -> list[Message]:
        """Chains and sets of our table that we do not know."""
        if self._held is None:
            return []
        return list(transaction.foreign(self._table, self._held, self._fixed.containers, self._fixed.chains))

    def _structure(self) -> list[Message]:
        chains = dict(self._fixed.chains)
        if self._held and self._last_chain in self._held.chains:
            del chains[self._last_chain]
        else:
            chains[self._last_chain] = Chain(())
        before = [wire.delete_table(self._table)] if self._incompatible else []
        return [*before, *transaction.structure(self._table, self._held, self._fixed.containers, chains)]

    def _last_rules(self) -> list[Message]:
        wanted = self._fixed.chains[self._last_chain]
        held = self._held.chains.get(self._last_chain) if self._held else None
        return [] if held and held.has_rules_of(wanted) else list(transaction.rewritten(self._table, self._last_chain, wanted))


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


def _in_steps(difference: Delta, limit: int) -> list[Delta]:
    """What protects is in the first one. What is deleted and added again is in one step."""
    first = Delta(*({name: some for name, some in each.items() if name in _FIRST} for each in (difference.deleted, difference.added)))
    rest = [
        (name, key)
        for name in dict.fromkeys((*difference.added, *difference.deleted))
        if name not in _FIRST
        for key in dict.fromkeys(chain(difference.added.get(name, {}), difference.deleted.get(name, {})))
    ]
    steps = [_part(difference, rest[at : at + limit]) for at in range(0, len(rest), limit)]
    if len(steps) > 1:
        return [first, *steps]
    for step in steps:
        first.absorb(step)
    return [first]


def _part(difference: Delta, some: list[tuple[str, bytes]]) -> Delta:
    part = Delta()
    for name, key in some:
        for of, into in ((difference.deleted, part.deleted), (difference.added, part.added)):
            if key in of.get(name, {}):
                into.setdefault(name, {})[key] = of[name][key]
    return part
