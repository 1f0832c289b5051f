"""The nftables mode: the `Dataplane` that the runner talks to. Both families, one netlink socket; everything else here is pure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from proxyconfig_agent.dataplane import Change, DataplaneError, Outcome, Refusal, Settings
from proxyconfig_agent.ingest.values import Family
from proxyconfig_agent.nftables import containers as sets
from proxyconfig_agent.nftables import read, transaction
from proxyconfig_agent.nftables.adoption import Adoption
from proxyconfig_agent.nftables.book import Book, Plan
from proxyconfig_agent.nftables.delta import Delta
from proxyconfig_agent.nftables.kernel import HeldElements
from proxyconfig_agent.nftables.netlink import messages as wire
from proxyconfig_agent.nftables.netlink.connection import Connection, InterruptedDumpError, KernelError
from proxyconfig_agent.nftables.netlink.messages import Message
from proxyconfig_agent.nftables.probe import probe
from proxyconfig_agent.nftables.resync import Chunk, Part, Resync
from proxyconfig_agent.nftables.ruleset import table_of
from proxyconfig_agent.select.frontends import Frontends, PortName

_GENERATIONS = 1 << 32


class Nftables:
    """One node's Services in `table ip proxyconfig` and `table ip6 proxyconfig`, in the network namespace of the thread that makes it."""

    def __init__(self, connection: Connection | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self._kernel = connection or Connection()
        self._now = now
        self._settings = Settings()
        self._books: dict[Family, Book] = {}
        self._generation: int | None = None

    def probe(self) -> dict[str, str]:
        return probe(self._kernel)

    def resync(self, settings: Settings, wanted: Iterable[Frontends]) -> Outcome:
        clock = _Stopwatch()
        try:
            self._generation = self._kernel.generation()
            resyncs = {family: self._read(family, settings) for family in Family}
            clock.lap("read")
            operations, refused = self._follow(resyncs, wanted, clock)
        except (KernelError, InterruptedDumpError) as error:
            self._generation = None
            raise DataplaneError(f"nftables: {error or 'the ruleset changed again and again while it was read'}") from error
        self._settings = settings
        self._books = {family: resync.book for family, resync in resyncs.items()}
        return Outcome(operations, tuple(refused), clock.took_s)

    def apply(self, changes: Iterable[Change]) -> Outcome:
        clock = _Stopwatch()
        if not self._books:
            raise DataplaneError("nftables: changes came before the first full sync; call resync first")
        wanted = _by_family(changes)
        plans = {family: self._books[family].plan(ports, self._settings) for family, ports in wanted.items()}
        clock.lap("lower")
        operations = sum(len(plan.delta) + len(self._books[family].classes.fresh()) for family, plan in plans.items())
        try:
            self._commit(message for family, plan in plans.items() for message in self._messages(family, plan.delta))
        except KernelError as error:
            for family in plans:
                self._books[family].rollback()
            if error.is_missing:
                # What we would delete, or the table itself, is gone: only a full resync knows what else is.
                self._generation = None
                raise DataplaneError(f"nftables: somebody changed table proxyconfig ({error}); a full resync repairs it") from error
            outcome = self._one_by_one(wanted)
        else:
            for family in plans:
                self._books[family].keep()
            outcome = Outcome(operations, tuple(refusal for plan in plans.values() for refusal in plan.refused))
        clock.lap("commit")
        return Outcome(outcome.operations, outcome.refused, clock.took_s)

    def disturbed(self) -> bool:
        current = self._kernel.generation()
        expected, self._generation = self._generation, current
        return current != expected

    def remove(self) -> None:
        tables = [table for table in map(table_of, Family) if read.held(self._kernel, table) is not None]
        try:
            self._commit(map(wire.delete_table, tables))
        except KernelError as error:
            raise DataplaneError(f"nftables: {error}") from error
        self._books = {}

    def scan(self) -> list[str]:
        lines = []
        for table in map(table_of, Family):
            held = read.held(self._kernel, table)
            if held is not None:
                name = f"{'ip' if table.family == 2 else 'ip6'} {table.name}"
                lines.append(f"table {name}")
                lines += [f"set {name} {container}" for container in sorted(held.containers)]
                lines += [f"chain {name} {chain}" for chain in sorted(held.chains)]
        return lines

    def close(self) -> None:
        """Close the socket; what is in the kernel stays and works."""
        self._kernel.close()

    def _read(self, family: Family, settings: Settings) -> Resync:
        table = table_of(family)
        held = read.held(self._kernel, table)
        elements, remembered = HeldElements(), set[int]()
        before = self._books.get(family)
        if held:
            lengths = {name: container.key_length for name, container in held.containers.items()}
            elements = read.held_elements(self._kernel, table, lengths)
            if before is None and sets.AFFINITY in lengths:
                remembered = read.affinity_ids(self._kernel, table, lengths[sets.AFFINITY])
        book = Book(family, self._now)
        return Resync(book, settings, held, elements, Adoption(book, before, elements, remembered))

    def _follow(self, resyncs: dict[Family, Resync], wanted: Iterable[Frontends], clock: _Stopwatch) -> tuple[int, list[Refusal]]:
        """Feed the Service ports in and commit what comes out, in bounded transactions."""
        operations = 0
        refused: list[Refusal] = []
        for frontends in wanted:
            resync = resyncs[frontends.family]
            resync.add(frontends)
            if resync.full:
                clock.lap("lower")
                operations += self._commit_chunk(resync, resync.take(), refused)
                clock.lap("commit")
        for resync in resyncs.values():
            for chunk in resync.finish():
                clock.lap("delta")
                operations += self._commit_chunk(resync, chunk, refused)
                clock.lap("commit")
            self._take_out(resync.foreign())
            refused += resync.refused
        return operations, refused

    def _commit_chunk(self, resync: Resync, chunk: Chunk, refused: list[Refusal]) -> int:
        family = resync.book.family
        try:
            self._commit(chunk.messages(family))
        except KernelError:
            if not chunk.parts:
                raise
            self._commit(Chunk(chunk.before, chunk.fresh, chunk.elements, [], chunk.behind).messages(family))
            resync.book.keep()
            refused += [refusal for part in chunk.parts if (refusal := self._commit_part(resync.book, part))]
        resync.book.keep()
        return len(chunk)

    def _commit_part(self, book: Book, part: Part) -> Refusal | None:
        """One Service port of a transaction that failed. If it was this one, clear away what may be there of it."""
        name = part.frontends.name
        try:
            self._commit(transaction.changed(book.family, {}, part.delta))
        except KernelError as error:
            removal = book.plan({name: None}, self._settings).delta
            book.keep()
            for key_set, elements in removal.deleted.items():
                for element in elements.items():
                    self._try(transaction.deleted(table_of(book.family), {key_set: dict([element])}))
            self._commit(transaction.added(table_of(book.family), book.still_shared(part.delta.added)))
            return Refusal(name.service, f"port {name}: {error}")
        return None

    def _one_by_one(self, wanted: dict[Family, dict[PortName, Frontends | None]]) -> Outcome:
        """Find the Service that the kernel does not take; the others go in."""
        operations = 0
        refused: list[Refusal] = []
        for family, ports in wanted.items():
            for name, frontends in ports.items():
                plan = self._apply_one(family, name, frontends)
                operations += len(plan.delta)
                refused += plan.refused
        return Outcome(operations, tuple(refused))

    def _apply_one(self, family: Family, name: PortName, frontends: Frontends | None) -> Plan:
        """One Service port; if the kernel refuses it, the port is taken out. Raises DataplaneError if that is refused too."""
        try:
            return self._commit_plan(family, name, frontends)
        except KernelError as refusal:
            try:
                plan = self._commit_plan(family, name, None)
            except KernelError as error:
                self._generation = None
                raise DataplaneError(f"nftables: {refusal}; taking {name} out failed as well: {error}; a full resync repairs it") from error
            plan.refused.append(Refusal(name.service, f"port {name}: {refusal}"))
            return plan

    def _commit_plan(self, family: Family, name: PortName, frontends: Frontends | None) -> Plan:
        book = self._books[family]
        plan = book.plan({name: frontends}, self._settings)
        try:
            self._commit(self._messages(family, plan.delta))
        except KernelError:
            book.rollback()
            raise
        book.keep()
        return plan

    def _messages(self, family: Family, delta: Delta) -> Iterator[Message]:
        return transaction.changed(family, self._books[family].classes.fresh(), delta)

    def _take_out(self, messages: list[Message]) -> None:
        """Best effort: kernels before 6.2 keep a chain busy for a moment after the last element that led to it is gone."""
        self._try(messages)

    def _try(self, messages: Iterable[Message]) -> None:
        try:
            self._commit(messages)
        except KernelError:
            return

    def _commit(self, messages: Iterable[Message]) -> None:
        """One transaction; every one makes a new generation of the ruleset, unless it is empty."""
        if self._kernel.commit(messages) and self._generation is not None:
            self._generation = (self._generation + 1) % _GENERATIONS or 1


class _Stopwatch:
    """Seconds per stage."""

    def __init__(self) -> None:
        self.took_s: dict[str, float] = {}
        self._since = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.took_s[stage] = self.took_s.get(stage, 0.0) + now - self._since
        self._since = now


def _by_family(changes: Iterable[Change]) -> dict[Family, dict[PortName, Frontends | None]]:
    """What each Service port is to be; the last change of a port counts."""
    wanted: dict[Family, dict[PortName, Frontends | None]] = {}
    for change in changes:
        known = change.new or change.old
        if known:
            wanted.setdefault(known.family, {})[known.name] = change.new
    return wanted
