"""What the agent has put into one family's table: which Service port has which id, which addresses, which shared elements.

`lower` and `delta` turn changes into what is to be sent; `keep` after the kernel took it, `rollback` after it did not. No I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from msgspec import Struct

from proxyconfig_agent.dataplane.nftables.lower import Numbers, lower, picks_of
from proxyconfig_agent.dataplane.nftables.model.endpoint_chains import EndpointChain, needed_by
from proxyconfig_agent.dataplane.nftables.model.service_mark import LOCAL_LIST
from proxyconfig_agent.dataplane.nftables.table.numbers import Classes, ExhaustedError, Ids, Slots
from proxyconfig_agent.dataplane.port import Refusal, Settings
from proxyconfig_agent.dataplane.sync.quarantine import RefusedError, refusal_of
from proxyconfig_agent.dataplane.tables.delta import Delta, delta
from proxyconfig_agent.dataplane.tables.model import address_sets
from proxyconfig_agent.dataplane.tables.model.ruleset import Elements
from proxyconfig_agent.dataplane.tables.undo_log import UndoLog
from proxyconfig_agent.ingest.model import Family, ServiceName
from proxyconfig_agent.select.frontends import Frontends, PortName

SHARED = (address_sets.CLUSTER_IPS, address_sets.HAIRPIN)
"""Sets whose elements belong to several Service ports at once."""

_NO_SLOTS = Slots()

Pair = tuple[Elements, Elements]
"""What one Service port has, and what it is to have."""


class PortEntry(Struct):
    """A Service port that is in the table. `frontends` are the runner's own object: no copy, so no memory."""

    frontends: Frontends
    identity: int
    slots: Slots = _NO_SLOTS


class PriorNumbers(Struct, frozen=True):
    """The id and slots that a Service port had before, in this process or in the one before it."""

    identity: int
    slots: Slots = _NO_SLOTS


class TableState:
    """One table's contents, by Service port. Memory: some 300 bytes per Service port, nothing per endpoint (without affinity)."""

    def __init__(self, family: Family, now: Callable[[], float]) -> None:
        self.family = family
        self._journal = UndoLog()
        self.records: dict[PortName, PortEntry] = {}
        self.ids = Ids(self._journal, now)
        self.classes = Classes(self._journal)
        self._holders: dict[str, dict[bytes, int]] = {name: {} for name in SHARED}
        self._to_rest: dict[int, None] = {}

    def lower(
        self,
        changes: Mapping[PortName, Frontends | None],
        settings: Settings,
        known: Callable[[Frontends], PriorNumbers | None] = lambda _: None,
        without: Collection[ServiceName] = (),
    ) -> list[Pair]:
        """What each of these Service ports has in the table, and what it is to have (None: gone).

        The Services `without` are to have nothing. `known` remembers earlier numbers. Raises RefusedError; `rollback` then, and lower
        without that Service."""
        wanted = dict(changes)
        if without:
            wanted |= {name: None for name in (*self.records, *changes) if name.service in without}
        pairs = []
        for name, new in wanted.items():
            try:
                pairs.append(self._change(name, new, settings, known) if new else self._remove(name, settings))
            except ExhaustedError as error:
                raise RefusedError(Refusal(name.service, f"port {name}: {error}")) from error
            except Exception as error:  # a fault of the agent, which concerns this Service alone
                raise RefusedError(refusal_of(name.service, error)) from error
        return pairs

    def delta(self, pairs: Iterable[Pair]) -> Delta:
        """What to send so that the table has the second of each pair instead of the first."""
        whole = Delta()
        for old, new in pairs:
            whole.absorb(self._shared(delta(old, new)))
        return whole

    def keep(self) -> None:
        """The kernel has it."""
        self._journal.clear()
        self.classes.made()
        for identity in self._to_rest:
            self.ids.rest(identity)
        self._to_rest.clear()

    def settle(self) -> None:
        """What is lowered so far is not to be rolled back."""
        self._journal.clear()

    def rollback(self) -> None:
        """The kernel refused it, or a Service is refused: everything is as it was at the last `keep`."""
        self._journal.rollback()

    def unused_picks(self) -> set[EndpointChain]:
        """Numbered picks that no Service port is picked by any more."""
        used = {pick for record in self.records.values() for pick in picks_of(record.frontends)}
        return self.classes.codes.keys() - used - {fallback for pick in used for fallback in needed_by(pick)}

    def still_shared(self, elements: Elements) -> Elements:
        """Those of the elements that Service ports in the book need."""
        return {name: {key: b"" for key in elements.get(name, {}) if key in self._holders[name]} for name in SHARED}

    def _change(self, name: PortName, new: Frontends, settings: Settings, known: Callable[[Frontends], PriorNumbers | None]) -> Pair:
        record = self.records.get(name)
        if record and record.frontends == new:
            return {}, {}
        successor = self._successor(record, new, known)
        old = self._lowered(record, settings) if record else {}
        self._journal.put(self.records, name, successor)
        return old, self._lowered(successor, settings)

    def _remove(self, name: PortName, settings: Settings) -> Pair:
        record = self.records.get(name)
        if record is None:
            return {}, {}
        self._retire(record)
        self._journal.drop(self.records, name)
        return self._lowered(record, settings), {}

    def _successor(self, record: PortEntry | None, new: Frontends, known: Callable[[Frontends], PriorNumbers | None]) -> PortEntry:
        """The same Service port with its numbers for `new`. Raises ExhaustedError."""
        picks = picks_of(new)
        if max(pick.endpoints for pick in picks) > LOCAL_LIST:
            raise ExhaustedError(f"it has more than {LOCAL_LIST} endpoints, which is the limit; split the Service")
        self.classes.ensure(picks)
        before = PriorNumbers(record.identity, record.slots) if record else known(new)
        if record and new.affinity_s < record.frontends.affinity_s:
            # Affinity entries live as long as they were to live when they were written; a new id leaves them behind. Those of an
            # affinity that was switched off are not to be met when it is switched on again.
            self._retire(record)
            before = None
        identity = before.identity if before else self.ids.allocate()
        return PortEntry(new, identity, _slots(before.slots if before else _NO_SLOTS, new))

    def _retire(self, record: PortEntry) -> None:
        if record.frontends.affinity_s:
            self._journal.put(self._to_rest, record.identity, None)
        else:
            self.ids.release(record.identity)

    def _lowered(self, record: PortEntry, settings: Settings) -> Elements:
        return lower(record.frontends, Numbers(record.identity, self.classes.codes, record.slots.numbers), settings.node_addresses)

    def _shared(self, difference: Delta) -> Delta:
        """Leave out what others still need, or have put there before."""
        for name in SHARED:
            holders = self._holders[name]
            if deleted := difference.deleted.get(name):
                difference.deleted[name] = {key: tail for key, tail in deleted.items() if self._let_go(holders, key)}
            if added := difference.added.get(name):
                difference.added[name] = {key: tail for key, tail in added.items() if self._hold(holders, key)}
        return difference

    def _hold(self, holders: dict[bytes, int], key: bytes) -> bool:
        """Whether it is the first."""
        count = holders.get(key, 0)
        self._journal.put(holders, key, count + 1)
        return count == 0

    def _let_go(self, holders: dict[bytes, int], key: bytes) -> bool:
        """Whether it was the last."""
        count = holders[key]
        if count == 1:
            self._journal.drop(holders, key)
        else:
            self._journal.put(holders, key, count - 1)
        return count == 1


def _slots(before: Slots, new: Frontends) -> Slots:
    if not new.affinity_s:
        return _NO_SLOTS
    step = new.family.size + 2
    return before.assigned(backends[at : at + step] for backends in (new.cluster, new.local) for at in range(0, len(backends), step))
