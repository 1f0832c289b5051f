"""The nftables mode: the `Dataplane` that the runner talks to. Both families, one netlink socket; everything else here is pure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from proxyconfig_agent.dataplane.nftables.kernel import changes, dump
from proxyconfig_agent.dataplane.nftables.kernel.held_elements import HeldElements
from proxyconfig_agent.dataplane.nftables.kernel.probe import probe
from proxyconfig_agent.dataplane.nftables.model import sets
from proxyconfig_agent.dataplane.nftables.model.table import table_of
from proxyconfig_agent.dataplane.nftables.sync.full_sync import FullSync
from proxyconfig_agent.dataplane.nftables.sync.reconcile import BYTES_PER_ELEMENT, CHUNK, Reconciler
from proxyconfig_agent.dataplane.nftables.table.recovery import NumberRecovery
from proxyconfig_agent.dataplane.nftables.table.state import Pair, TableState
from proxyconfig_agent.dataplane.port import Change, ConflictError, DataplaneError, LackingError, Outcome, ProbeResult, Refusal, Settings
from proxyconfig_agent.dataplane.sync.batching import Ports, batches, by_family, by_service, size_of
from proxyconfig_agent.dataplane.sync.quarantine import RefusedError, refusal_of
from proxyconfig_agent.dataplane.sync.stage_timer import StageTimer
from proxyconfig_agent.dataplane.tables.delta import Delta
from proxyconfig_agent.dataplane.tables.kernel import hooks
from proxyconfig_agent.dataplane.tables.kernel.dump import actual_table, scanned
from proxyconfig_agent.dataplane.tables.kernel.generation import Writer
from proxyconfig_agent.ingest.model import Family, ServiceName
from proxyconfig_agent.netlink.nftables import messages as wire
from proxyconfig_agent.netlink.nftables.connection import Connection, KernelError
from proxyconfig_agent.select.frontends import Frontends

QUICK = 1000
"""Service ports and endpoints, of changes that take some 10 ms at most."""


class Nftables:
    """One node's Services in `table ip proxyconfig` and `table ip6 proxyconfig`, in the network namespace of the thread that makes it."""

    def __init__(self, connection: Connection | None = None, now: Callable[[], float] = time.monotonic) -> None:
        """Raises DataplaneError where the kernel has no nf_tables, so that nothing of this mode can be in it either."""
        self._kernel = connection or _connected()
        if not self._kernel.has_nf_tables():
            self._kernel.close()
            raise _lacks("nf_tables (Linux 3.13 and later, CONFIG_NF_TABLES, module nf_tables)")
        self.writer = Writer(self._kernel)
        self._now = now
        self._settings = Settings()
        self._families: tuple[Family, ...] = ()
        self._tables: dict[Family, TableState] = {}
        self._chunk = min(CHUNK, self._kernel.capacity // BYTES_PER_ELEMENT)

    def probe(self) -> ProbeResult:
        found = probe(self._kernel)
        self._families = found.served
        return found

    def resync(self, settings: Settings, wanted: Iterable[Frontends]) -> Outcome:
        clock = StageTimer()
        try:
            with self.writer.begin_read():
                resyncs = {family: self._read(family, settings) for family in self._supported()}
                clock.lap("read")
                outcome = FullSync(self.writer, settings, resyncs, clock).run(wanted)
        except KernelError as error:
            raise DataplaneError(f"nftables: {error}") from error
        self._settings = settings
        self._tables = {family: resync.book for family, resync in resyncs.items()}
        return outcome

    def apply(self, changes: Iterable[Change]) -> Outcome:
        if not self._tables:
            raise DataplaneError("nftables: changes came before the first full sync; call resync first")
        clock = StageTimer()
        refused: dict[ServiceName, Refusal] = {}
        operations = sum(self._apply(batch, refused, clock) for batch in batches(changes))
        return Outcome(operations, tuple(refused.values()), clock.took_s)

    def is_slow(self, changes: Sequence[Change]) -> bool:
        return size_of(changes) > QUICK

    def disturbed(self) -> bool:
        try:
            return self.writer.changed_externally()
        except KernelError as error:
            raise DataplaneError(f"nftables: {error}") from error

    def remove(self) -> None:
        """Take both tables away, and forget them. Raises DataplaneError."""
        try:
            self.writer.commit([wire.delete_table(table) for table in map(table_of, Family) if actual_table(self._kernel, table)])
        except KernelError as error:
            raise DataplaneError(f"nftables: {error}") from error
        self._tables = {}

    def disarm(self) -> bool:
        try:
            self.writer.commit(hooks.taken(self._kernel, map(table_of, Family)))
        except KernelError as error:
            raise DataplaneError(f"nftables: {error}") from error
        return True

    def arm(self) -> None:
        try:
            self.writer.commit(hooks.given(self._kernel, map(table_of, Family)))
        except KernelError as error:
            raise DataplaneError(f"nftables: {error}") from error

    def retire(self, drain_s: float) -> bool:  # noqa: ARG002 - nothing drains
        """At once: connections go on as they were translated."""
        self.remove()
        return True

    def scan(self) -> list[str]:
        try:
            return [line for table in map(table_of, Family) for line in scanned(self._kernel, table)]
        except KernelError as error:
            raise DataplaneError(f"nftables: {error}") from error

    def close(self) -> None:
        """Close the socket; what is in the kernel stays and works."""
        self._kernel.close()

    def _supported(self) -> tuple[Family, ...]:
        """A kernel that lacks something for one family serves the other one, as if Services had no addresses of the first."""
        if not self._families:
            self.probe()
        return self._families

    def _read(self, family: Family, settings: Settings) -> Reconciler:
        table = table_of(family)
        held = actual_table(self._kernel, table)
        elements, remembered = HeldElements(), set[int]()
        before = self._tables.get(family)
        if held:
            lengths = {name: container.key_length for name, container in held.containers.items()}
            elements = dump.held_elements(self._kernel, table, lengths)
            if before is None and sets.AFFINITY in lengths:
                remembered = dump.affinity_ids(self._kernel, table, lengths[sets.AFFINITY])
        book = TableState(family, self._now)
        return Reconciler(book, settings, held, elements, NumberRecovery(book, before, elements, remembered), chunk=self._chunk)

    def _apply(self, changes: Iterable[Change], refused: dict[ServiceName, Refusal], clock: StageTimer) -> int:
        """One transaction; how many operations it was."""
        wanted = {family: ports for family, ports in by_family(changes).items() if family in self._tables}
        pairs = self._lower(wanted, refused)
        clock.lap("lower")
        try:
            deltas = self._deltas(pairs)
            clock.lap("delta")
            operations = self._commit(deltas)
        except Exception as error:  # the kernel's refusal, or a fault of the agent
            self._rollback()
            self._raise_if_stale(error)
            operations = self._one_by_one(wanted, refused)
            # What went from one Service to another may have gone with the first: it takes one transaction for both.
            self.writer.invalidate()
        clock.lap("commit")
        return operations

    def _lower(self, wanted: Mapping[Family, Ports], refused: dict[ServiceName, Refusal]) -> dict[Family, list[Pair]]:
        """What is and what is to be, in each family. A Service that cannot be programmed goes into `refused`, and out of both families."""
        while True:
            try:
                return {
                    family: book.lower(wanted.get(family, {}), self._settings, without=refused)
                    for family, book in self._tables.items()
                    if family in wanted or refused
                }
            except RefusedError as error:
                self._rollback()
                self._refuse(error.refusal, refused)

    def _deltas(self, pairs: Mapping[Family, list[Pair]]) -> dict[Family, Delta]:
        return {family: self._tables[family].delta(each) for family, each in pairs.items()}

    def _commit(self, deltas: Mapping[Family, Delta]) -> int:
        """One transaction for both families; how many operations. If the kernel refuses it, the books are as before: KernelError."""
        fresh = {family: self._tables[family].classes.fresh() for family in deltas}
        try:
            self.writer.commit(message for family, delta in deltas.items() for message in changes.changed(family, fresh[family], [delta]))
        except Exception:
            self._rollback()
            raise
        for family in deltas:
            self._tables[family].keep()
        return sum(map(len, deltas.values())) + sum(map(len, fresh.values()))

    def _rollback(self) -> None:
        for book in self._tables.values():
            book.rollback()

    def _one_by_one(self, wanted: Mapping[Family, Ports], refused: dict[ServiceName, Refusal]) -> int:
        """Find the Service that the kernel does not take; the others go in. How many operations it took.

        Taking Services out goes through the whole table, so it is done for those that are refused only."""
        operations = self._take_out(refused) if refused else 0
        for service, ports in by_service(wanted).items():
            if service not in refused:
                operations += self._apply_one(service, ports, refused)
        return operations

    def _apply_one(self, service: ServiceName, wanted: Mapping[Family, Ports], refused: dict[ServiceName, Refusal]) -> int:
        """One Service; if the kernel refuses it, it is taken out. Raises DataplaneError if that is refused too."""
        own: dict[ServiceName, Refusal] = {}
        try:
            operations = self._commit(self._deltas(self._lower(wanted, own)))
        except Exception as error:
            self._rollback()
            self._raise_if_stale(error)
            own[service] = Refusal(service, str(error)) if isinstance(error, KernelError) else refusal_of(service, error)
            operations = self._take_out(own)
        refused |= own
        return operations

    def _take_out(self, refused: dict[ServiceName, Refusal]) -> int:
        """Leave nothing of these Services in the kernel. Raises DataplaneError."""
        try:
            return self._commit(self._deltas(self._lower({}, refused)))
        except KernelError as error:
            self.writer.invalidate()
            names = ", ".join(map(str, refused))
            raise DataplaneError(f"nftables: {names} cannot be taken out: {error}; a full resync repairs it") from error

    def _refuse(self, refusal: Refusal, refused: dict[ServiceName, Refusal]) -> None:
        """Leave a Service out. Raises DataplaneError if that is what fails."""
        if refusal.service in refused:
            self.writer.invalidate()
            raise DataplaneError(f"nftables: {refusal.service} cannot be taken out: {refusal.reason}; a full resync repairs it")
        refused[refusal.service] = refusal

    def _raise_if_stale(self, error: Exception) -> None:
        """What we would delete, or the table itself, is gone: only a full resync knows what else is."""
        if isinstance(error, (DataplaneError, OSError)):
            raise error
        if isinstance(error, KernelError) and error.is_missing:
            self.writer.invalidate()
            raise ConflictError(f"nftables: another program changed table proxyconfig ({error}); a full resync repairs it") from error


def _connected() -> Connection:
    try:
        return Connection()
    except OSError as error:
        what = "netlink sockets for netfilter (Linux 2.6.14 and later, CONFIG_NETFILTER_NETLINK, module nfnetlink)"
        raise _lacks(f"{what}: {error.strerror}") from error


def _lacks(what: str) -> LackingError:
    return LackingError("nftables", f"the kernel lacks {what}")
