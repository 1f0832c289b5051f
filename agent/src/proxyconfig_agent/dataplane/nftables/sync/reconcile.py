"""From what the kernel has to what it should have: adopt its numbers, then find the differences, Service port by Service port. No I/O.

A table that is not there is filled in bounded transactions. What rejects packets that nothing translated (`fixed.LAST_CHAIN`) gets
its rules with the last of them: until then a Service whose turn has not come is left alone, as without any rules. A table that is
there is compared first; its differences go in one transaction if they are few.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, field

from proxyconfig_agent.dataplane.nftables.kernel import changes
from proxyconfig_agent.dataplane.nftables.kernel.held_elements import HeldElements
from proxyconfig_agent.dataplane.nftables.model import sets
from proxyconfig_agent.dataplane.nftables.model.base_chains import LAST_CHAIN, fixed
from proxyconfig_agent.dataplane.nftables.model.endpoint_chains import chain_of
from proxyconfig_agent.dataplane.nftables.model.table import table_of
from proxyconfig_agent.dataplane.nftables.sync.stale_udp import udp_destinations
from proxyconfig_agent.dataplane.nftables.table.recovery import NumberRecovery
from proxyconfig_agent.dataplane.nftables.table.state import TableState
from proxyconfig_agent.dataplane.port import Destination, Settings
from proxyconfig_agent.dataplane.sync.quarantine import RefusedError, refusal_of
from proxyconfig_agent.dataplane.tables.delta import Delta
from proxyconfig_agent.dataplane.tables.kernel import transaction
from proxyconfig_agent.dataplane.tables.kernel.actual import ActualTable
from proxyconfig_agent.dataplane.tables.model import address_sets
from proxyconfig_agent.dataplane.tables.model.elements import counted
from proxyconfig_agent.dataplane.tables.model.ruleset import Chain, Elements
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink.nftables import messages as wire
from proxyconfig_agent.netlink.nftables.messages import Message
from proxyconfig_agent.select.frontends import Frontends

CHUNK = 5_000
"""Elements of one transaction at a cold start: about half a megabyte. More at a time is not faster, and takes more memory."""
BYTES_PER_ELEMENT = 150
"""With a long comment, IPv6, and room to spare."""

SPARE_PICKS = 256

_FIREWALL = frozenset((address_sets.FIREWALL_IPS, address_sets.SOURCE_RANGES))


class Part(Struct):
    """One Service port's share of a transaction."""

    frontends: Frontends
    delta: Delta


class Chunk(Struct):
    """One transaction: messages before and behind the elements, elements, and the Service ports whose turn it is."""

    before: list[Message] = field(default_factory=list)
    elements: Delta = field(default_factory=Delta)
    """Those that belong to no Service port alone."""
    parts: list[Part] = field(default_factory=list)
    behind: list[Message] = field(default_factory=list)

    def __len__(self) -> int:
        """How many operations it is: elements, rules, chains, sets."""
        return len(self.before) + len(self.behind) + len(self.elements) + sum(len(part.delta) for part in self.parts)

    def messages(self, family: Family) -> Iterator[Message]:
        yield from self.before
        yield from changes.changed(family, {}, [self.elements, *(part.delta for part in self.parts)])
        yield from self.behind


class Reconciler:
    """One family's way from `held` to the desired table. `add` every Service port; commit the chunks of `full` and `finish`."""

    def __init__(
        self,
        book: TableState,
        settings: Settings,
        held: ActualTable | None,
        elements: HeldElements,
        adoption: NumberRecovery,
        *,
        chunk: int = CHUNK,
    ) -> None:
        """`chunk`: how many elements a transaction has, roughly, when there are many."""
        self.book = book
        self._settings = settings
        self._table = table_of(book.family)
        self._fixed = fixed(settings, book.family)
        self._incompatible = held is not None and not held.fits(self._fixed.containers, self._fixed.chains)
        self._held = None if self._incompatible else held
        self._elements = HeldElements() if self._incompatible else elements
        self._adoption = adoption
        self._limit = chunk
        self.cold = held is None
        """The table is not there."""
        self.abandoned: tuple[Destination, ...] = ()
        """Known when it is finished."""
        self._size = 0
        self._chunk = self._first()

    @property
    def full(self) -> bool:
        """Whether what has come together is to be committed before more is added. Only a table that was not there is filled in steps."""
        return self.cold and self._size >= self._limit

    def add(self, frontends: Frontends) -> None:
        """Work out what this Service port still needs. Raises RefusedError; nothing is added then."""
        try:
            difference = self._lower(frontends)
        except RefusedError:
            self.book.rollback()
            raise
        except Exception as error:  # a fault of the agent, which concerns this Service alone
            self.book.rollback()
            raise RefusedError(refusal_of(frontends.name.service, error)) from error
        self.book.settle()
        if size := len(difference):
            self._size += size
            self._chunk.parts.append(Part(frontends, difference))

    def _lower(self, frontends: Frontends) -> Delta:
        pairs = self.book.lower({frontends.name: frontends}, self._settings, self._adoption.known)
        wanted = self.book.delta(pairs)
        return self._elements.difference(wanted.added) if self._held else wanted

    def take(self) -> Chunk:
        """The transaction that is due now. Commit it before anything else is added."""
        chunk, self._chunk, self._size = self._chunk, Chunk(), 0
        if fresh := self.book.classes.fresh():
            chains = {pick.chain: chain_of(pick, self.book.family) for pick in fresh}
            chunk.before += transaction.repaired(self._table, self._held or ActualTable(awake=True), chains)
            # Not simply added: the kernel may have another chain under a number that we take to be free.
            codes = changes.class_elements(fresh)
            chunk.elements.absorb(self._elements.difference({sets.CLASSES: codes, sets.PICKS: codes}))
        return chunk

    def finish(self) -> Iterator[Chunk]:
        """The remaining transactions: differences, then what is no longer wanted, then what rejects the untranslated."""
        self._adoption.retire(self.book)
        chunk = self.take()
        stale = self._elements.rest()
        self.abandoned = tuple(udp_destinations(stale, self.book.family))
        if self._incompatible or len(chunk) + counted(stale) <= self._limit:
            chunk.elements.absorb(Delta(deleted=stale))
            chunk.behind += self._last_chain()
            yield chunk
        else:
            yield _protection(chunk, stale, self.book.family)
            yield from _in_steps(chunk.parts, self._limit)
            yield Chunk(elements=Delta(deleted=stale), behind=self._last_chain())
        yield from self._spare_picks()

    def foreign(self) -> list[Message]:
        """Chains and sets of our table that we do not know, to be taken out when everything else is done."""
        if self._held is None:
            return []
        return list(transaction.foreign(self._table, self._held, self._fixed.containers, self._chains()))

    def _spare_picks(self) -> Iterator[Chunk]:
        """Forget pick chains when very many are unused; `foreign` takes them out. Some are kept: counts come and go."""
        unused = self.book.unused_picks() if self._held else set()
        if len(unused) > SPARE_PICKS:
            elements = changes.class_elements({pick: self.book.classes.codes[pick] for pick in unused})
            self.book.classes.forget(unused)
            yield Chunk(elements=Delta(deleted={sets.CLASSES: elements, sets.PICKS: elements}))

    def _first(self) -> Chunk:
        """Sets, chains and rules, and the elements that belong to no Service."""
        chains = self._chains()
        if self._held and LAST_CHAIN in self._held.chains:
            del chains[LAST_CHAIN]
        else:
            chains[LAST_CHAIN] = Chain(())
        before = [wire.delete_table(self._table)] if self._incompatible else []
        before += transaction.structure(self._table, self._held, self._fixed.containers, chains)
        codes = changes.class_elements(self.book.classes.codes)
        wanted = {**self._fixed.elements, sets.PICKS: codes, sets.CLASSES: self._fixed.elements[sets.CLASSES] | codes}
        return Chunk(before=before, elements=self._elements.difference(wanted))

    def _chains(self) -> dict[str, Chain]:
        """The fixed chains, and the pick chains that have a number."""
        family = self.book.family
        return {**self._fixed.chains, **{pick.chain: chain_of(pick, family) for pick in self.book.classes.codes}}

    def _last_chain(self) -> list[Message]:
        wanted = self._fixed.chains[LAST_CHAIN]
        held = self._held.chains.get(LAST_CHAIN) if self._held else None
        return [] if held and held.has_rules_of(wanted) else list(transaction.rewritten(self._table, LAST_CHAIN, wanted))


def _protection(chunk: Chunk, stale: Elements, family: Family) -> Chunk:
    """The first of several transactions: all source ranges at once (the kernel copies that set each time), before any VIP they protect.

    Of those that are no longer wanted only the ones that may overlap wanted ones go now, which is within the same VIP and port; the
    others protect Services that are still there."""
    first = Chunk(chunk.before, chunk.elements)
    for part in chunk.parts:
        for elements, into in ((part.delta.deleted, first.elements.deleted), (part.delta.added, first.elements.added)):
            for name in _FIREWALL & elements.keys():
                into.setdefault(name, {}).update(elements.pop(name))
    frontend = family.size + 8
    changed = {key[:frontend] for key in first.elements.added.get(address_sets.SOURCE_RANGES, {})}
    ranges = stale.get(address_sets.SOURCE_RANGES, {})
    if overlapping := {key: ranges.pop(key) for key in list(ranges) if key[:frontend] in changed}:
        first.elements.absorb(Delta(deleted={address_sets.SOURCE_RANGES: overlapping}))
    return first


def _in_steps(parts: list[Part], limit: int) -> Iterator[Chunk]:
    """All ports of a Service together: with the ClusterIP of one, what goes to the others' would be rejected until they are there."""
    chunk, size = Chunk(), 0
    for part in parts:
        if size >= limit and part.frontends.name.service != chunk.parts[-1].frontends.name.service:
            yield chunk
            chunk, size = Chunk(), 0
        chunk.parts.append(part)
        size += len(part.delta)
    if chunk.parts:
        yield chunk
