"""Carries a full resync out: feeds the Service ports in, commits the transactions that come out, sets aside what the kernel refuses.

While the kernel works on a transaction, the next one is put together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from proxyconfig_agent.dataplane.nftables.kernel import changes
from proxyconfig_agent.dataplane.nftables.model.table import table_of
from proxyconfig_agent.dataplane.nftables.sync.pipelined_commit import PipelinedCommit
from proxyconfig_agent.dataplane.nftables.sync.reconcile import Chunk, Part, Reconciler
from proxyconfig_agent.dataplane.port import Outcome, Refusal, Settings
from proxyconfig_agent.dataplane.sync.quarantine import RefusedError, refusal_of
from proxyconfig_agent.dataplane.sync.stage_timer import StageTimer
from proxyconfig_agent.dataplane.tables.kernel import transaction
from proxyconfig_agent.dataplane.tables.kernel.generation import Writer
from proxyconfig_agent.dataplane.tables.repairs import Repairs
from proxyconfig_agent.ingest.model import Family, ServiceName
from proxyconfig_agent.netlink.nftables.connection import KernelError
from proxyconfig_agent.select.frontends import Frontends, PortName


class FullSync:
    """One full resync of both families."""

    def __init__(self, writer: Writer, settings: Settings, resyncs: Mapping[Family, Reconciler], clock: StageTimer) -> None:
        self._writer = writer
        self._ahead = PipelinedCommit(writer)
        self._begun: tuple[Reconciler, Chunk] | None = None
        self._settings = settings
        self._resyncs = resyncs
        self._clock = clock
        self._operations = 0
        self._refused: dict[ServiceName, Refusal] = {}
        self._repairs = Repairs()

    def run(self, wanted: Iterable[Frontends]) -> Outcome:
        """Raises KernelError if something is refused that belongs to no single Service."""
        with self._ahead:
            self._add_all(wanted)
            self._finish()
        self._take_out_refused()
        refused = tuple(self._refused.values())
        abandoned = tuple(destination for resync in self._resyncs.values() for destination in resync.abandoned)
        return Outcome(self._operations, refused, self._clock.took_s, str(self._repairs), abandoned)

    def _add_all(self, wanted: Iterable[Frontends]) -> None:
        for frontends in wanted:
            if frontends.family in self._resyncs:
                self._add(frontends)
        self._clock.lap("lower")

    def _finish(self) -> None:
        for resync in self._resyncs.values():
            for chunk in resync.finish():
                self._commit(resync, chunk)
            self._await_kernel()
            # Best effort: kernels before 6.2 keep a chain busy for a moment after the last element that led to it is gone.
            if self._writer.attempt(foreign := resync.foreign()):
                self._operations += len(foreign)
                self._repairs.note_messages(foreign, cold=resync.cold)

    def _add(self, frontends: Frontends) -> None:
        service, resync = frontends.name.service, self._resyncs[frontends.family]
        if service in self._refused:
            return
        try:
            resync.add(frontends)
        except RefusedError as error:
            self._refused[service] = error.refusal
        if resync.full:
            self._clock.lap("lower")
            self._commit(resync, resync.take())

    def _commit(self, resync: Reconciler, chunk: Chunk) -> None:
        """Begin this transaction when the one before it is through."""
        self._clock.lap("delta")
        self._await_kernel()
        self._ahead.begin(chunk.messages(resync.book.family))
        # What is added next builds on it. Should the kernel refuse it as a whole, the book is thrown away.
        resync.book.keep()
        self._begun = (resync, chunk)
        self._clock.lap("commit")

    def _await_kernel(self) -> None:
        """Until the kernel has what was begun; what it refuses of that is set aside."""
        if self._begun is None:
            return
        (resync, chunk), self._begun = self._begun, None
        try:
            self._ahead.wait()
        except OSError:
            raise
        except Exception:
            if not chunk.parts:
                raise
            self._commit_one_by_one(resync, chunk)
        self._operations += len(chunk)
        self._note(resync, chunk)
        self._clock.lap("commit")

    def _commit_one_by_one(self, resync: Reconciler, chunk: Chunk) -> None:
        """Find the Service that the kernel does not take; the others go in."""
        self._writer.commit(Chunk(chunk.before, chunk.elements, [], chunk.behind).messages(resync.book.family))
        for part in chunk.parts:
            try:
                self._writer.commit(changes.changed(resync.book.family, {}, [part.delta]))
            except OSError:
                raise
            except Exception as error:
                self._set_aside(resync, part)
                self._refused[part.frontends.name.service] = _refusal(part.frontends.name, error)

    def _set_aside(self, resync: Reconciler, part: Part) -> None:
        """Clear away what may be in the kernel of a Service port, element by element; put back what it shares with others."""
        book, table = resync.book, table_of(resync.book.family)
        removal = book.delta(book.lower({part.frontends.name: None}, self._settings))
        book.settle()
        for name, elements in removal.deleted.items():
            for element in elements.items():
                self._writer.attempt(transaction.deleted(table, [{name: dict([element])}]))
        self._writer.commit(transaction.added(table, [book.still_shared(part.delta.added)]))

    def _take_out_refused(self) -> None:
        """A Service is refused as a whole: its other ports, and those of the other family, may be in the kernel already."""
        for family, resync in self._resyncs.items():
            removal = resync.book.delta(resync.book.lower({}, self._settings, without=self._refused))
            self._writer.commit(changes.changed(family, {}, [removal]))
            resync.book.keep()

    def _note(self, resync: Reconciler, chunk: Chunk) -> None:
        for messages in (chunk.before, chunk.behind):
            self._repairs.note_messages(messages, cold=resync.cold)
        if resync.cold:
            return
        self._repairs.note_elements(chunk.elements.deleted, chunk.elements.added)
        for part in chunk.parts:
            if self._repairs.note_elements(part.delta.deleted, part.delta.added):
                self._repairs.of(part.frontends.name)


def _refusal(port: PortName, error: Exception) -> Refusal:
    """The kernel's words, or else a fault of the agent."""
    return Refusal(port.service, f"port {port}: {error}") if isinstance(error, KernelError) else refusal_of(port.service, error)
