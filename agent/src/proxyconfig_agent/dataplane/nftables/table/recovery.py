"""Which numbers Service ports had before: in this process (the book of before), or in the one before it (the kernel's elements)."""

from __future__ import annotations

from proxyconfig_agent.dataplane.nftables.kernel.held_elements import HeldElements
from proxyconfig_agent.dataplane.nftables.model import sets
from proxyconfig_agent.dataplane.nftables.model.endpoint_chains import pick_of
from proxyconfig_agent.dataplane.nftables.model.service_mark import FIRST_PICK, LOW, id_in, low_in
from proxyconfig_agent.dataplane.nftables.table.numbers import Slots
from proxyconfig_agent.dataplane.nftables.table.state import PriorNumbers, TableState
from proxyconfig_agent.dataplane.tables.model.elements import chain_of, comment_of, value_of
from proxyconfig_agent.select.frontends import Frontends


class NumberRecovery:
    """Takes classes over into a fresh state at once, and ids and slots when a Service port asks."""

    def __init__(self, book: TableState, before: TableState | None, elements: HeldElements, remembered: set[int]) -> None:
        """`remembered` are ids for which the kernel remembers clients (session affinity)."""
        self._before = before
        self._elements = elements
        self._step = book.family.size + 2
        self._remembered = remembered
        self._unused: set[int] = set()
        if before:
            book.ids.inherit(before.ids)
            self._unused = {record.identity for record in before.records.values()}
        self._ids = self._reserved(book)
        self._timeouts_s = _timeouts_s(elements)
        self._unused |= {identity for identity in remembered if book.ids.claim(identity)}
        _adopt_classes(book, before, elements)

    def known(self, frontends: Frontends) -> PriorNumbers | None:
        """The numbers to go on with; None for fresh ones."""
        known = self._in_memory(frontends) or self._in_kernel(frontends)
        if known:
            self._unused.discard(known.identity)
        return known

    def retire(self, book: TableState) -> None:
        """Let the ids rest that nobody asked for: entries of clients may still carry them."""
        for identity in self._unused:
            book.ids.rest(identity)
        self._unused.clear()

    def _in_memory(self, frontends: Frontends) -> PriorNumbers | None:
        record = self._before.records.get(frontends.name) if self._before else None
        if record is None or frontends.affinity_s < record.frontends.affinity_s:
            return None
        return PriorNumbers(record.identity, record.slots)

    def _in_kernel(self, frontends: Frontends) -> PriorNumbers | None:
        identity = self._ids.pop((str(frontends.name), frontends.name.protocol), None)
        if identity is None:
            return None
        if frontends.affinity_s < self._timeouts_s.get(identity, 0):
            return None
        slots = self._slots(identity)
        was_sticky = bool(slots.numbers) or identity in self._remembered
        return None if was_sticky and not (frontends.affinity_s and slots.numbers) else PriorNumbers(identity, slots)

    def _slots(self, identity: int) -> Slots:
        """Somebody may have changed the elements: no two endpoints get the same slot."""
        owners: dict[int, bytes] = {}
        for name in (sets.STICKY_ENDPOINTS, sets.STICKY_LOCAL_ENDPOINTS):
            for key, tail in self._elements.of(name, identity).items():
                owners.setdefault(low_in(key), value_of(tail)[: self._step])
        return Slots({endpoint: slot for slot, endpoint in owners.items()}, max(owners, default=0))

    def _reserved(self, book: TableState) -> dict[tuple[str, int], int]:
        """The ids in the kernel by (comment, protocol), reserved for the Service port with that name."""
        found: dict[tuple[str, int], int] = {}
        for name, protocol_at in ((sets.SERVICES, book.family.size), (sets.NODEPORTS, 0)):
            for key, tail in self._elements.items(name):
                identity = id_in(value_of(tail))
                port = comment_of(tail), key[protocol_at]
                if port not in found and book.ids.claim(identity):
                    found[port] = identity
                    self._unused.add(identity)
        return found


def _timeouts_s(elements: HeldElements) -> dict[int, int]:
    """The affinity timeout of each id that has one, by the classes of its words."""
    picks = {low_in(key): pick_of(chain_of(tail)) for key, tail in elements.items(sets.PICKS)}
    by_class = {code: pick.affinity_s for code, pick in picks.items() if pick and pick.affinity_s}
    words = (value_of(tail) for name in (sets.SERVICES, sets.CLUSTER_LISTS, sets.LOCAL_LISTS) for _, tail in elements.items(name))
    return {id_in(word): by_class[low_in(word)] for word in words if low_in(word) in by_class} if by_class else {}


def _adopt_classes(book: TableState, before: TableState | None, elements: HeldElements) -> None:
    taken = set()
    if before:
        for pick, code in before.classes.codes.items():
            book.classes.adopt(pick, code)
            taken.add(code)
    for key, tail in elements.items(sets.PICKS):
        found, code = pick_of(chain_of(tail)), low_in(key)
        if found and FIRST_PICK <= code <= LOW and code not in taken and found not in book.classes.codes:
            book.classes.adopt(found, code)
            taken.add(code)
