"""A full sync of one family: compares the tables with the desired ports, and writes the differences in batches for iptables-restore."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from proxyconfig_agent.dataplane.iptables.delta import NONE, Edits
from proxyconfig_agent.dataplane.iptables.sync.batches import BATCH, portions
from proxyconfig_agent.dataplane.iptables.sync.bisect import Bisection
from proxyconfig_agent.dataplane.iptables.sync.reconcile import TableDiff
from proxyconfig_agent.dataplane.iptables.sync.renderer import RuleRenderer
from proxyconfig_agent.dataplane.iptables.sync.stale_udp import udp_destinations
from proxyconfig_agent.dataplane.iptables.tools.binaries import Backend
from proxyconfig_agent.dataplane.iptables.tools.program import LockedError, ToolError
from proxyconfig_agent.dataplane.iptables.tools.restore import Input
from proxyconfig_agent.dataplane.iptables.tools.writer import Writer
from proxyconfig_agent.dataplane.port import Change, Destination, Refusal
from proxyconfig_agent.dataplane.sync.drift import Drift
from proxyconfig_agent.dataplane.sync.quarantine import RefusedError, refusal_of
from proxyconfig_agent.dataplane.sync.stage_timer import StageTimer
from proxyconfig_agent.ingest.model import Family, ServiceName
from proxyconfig_agent.select.frontends import Frontends


class FullSync:
    """Call `begin`, then `ports` once, then `end`. All raise ToolError, for what is no Service's fault."""

    def __init__(
        self, writer: Writer, lowering: RuleRenderer, refused: dict[ServiceName, Refusal], clock: StageTimer, drift: Drift
    ) -> None:
        self._writer, self._lowering, self._refused, self._clock = writer, lowering, refused, clock
        self._search = Bisection(writer, lowering, refused)
        self._batch_size = BATCH[writer.backend]
        self._input, self._batch = lowering.input(), list[Change]()
        self._drift = drift
        self.operations = 0
        self.abandoned: tuple[Destination, ...] = ()

    @property
    def family(self) -> Family:
        return self._lowering.family

    def begin(self) -> None:
        """Read, and see to what there always is."""
        self._adoption = TableDiff(self._lowering.fixed, self._writer.read(self._lowering.family))
        self._clock.lap("read")
        structure = self._adoption.structure()
        self._note(structure)
        self._input.add(structure)

    def ports(self, wanted: Iterable[Frontends]) -> None:
        """All that there are to be. A new node's iptables-legacy-restore reads them while they are made: most of its work is to read."""
        if self._writer.backend is Backend.LEGACY and self._adoption.empty:
            self._commit(lambda given: self._writer.pour(self.family, given, self._one_by_one(wanted)))
            return
        for frontends in wanted:
            self._port(frontends)
            if self._input.operations >= self._batch_size:
                self._flush()
        self._flush()

    def _one_by_one(self, wanted: Iterable[Frontends]) -> Iterator[None]:
        for frontends in wanted:
            self._port(frontends)
            yield
            self._clock.lap("commit")

    def _port(self, frontends: Frontends) -> None:
        if frontends.name.service in self._refused:
            return
        try:
            edits = self._edits(frontends)
        except RefusedError as error:
            self._refused[frontends.name.service] = error.refusal
            return
        self._input.add(edits)
        if len(edits):
            _count(self._drift, edits)
            self._drift.of(frontends.name)
        self._batch.append(Change(None, frontends))
        self._clock.lap("delta")

    def _edits(self, frontends: Frontends) -> Edits:
        """What one Service port lacks. Raises RefusedError for a fault of the agent."""
        rules = self._lowering.rules(frontends)
        self._lowering.tally(NONE, rules)
        self._clock.lap("lower")
        try:
            return self._adoption.port(rules)
        except Exception as error:
            raise RefusedError(refusal_of(frontends.name.service, error)) from error

    def _flush(self) -> None:
        """Commit what has gathered."""
        self._commit(lambda given: self._writer.commit(self.family, given))

    def _commit(self, commit: Callable[[Input], int]) -> None:
        try:
            self.operations += commit(self._input)
        except LockedError:
            raise
        except ToolError:
            if not self._batch:
                raise
            self.operations += self._search.carry_out(self._batch)
        self._input, self._batch = self._lowering.input(), []
        self._clock.lap("commit")

    def end(self, gone: Iterable[Frontends]) -> None:
        """Take away what is not wanted, and the refused Service ports, `gone`."""
        refused = list(gone)
        for frontends in refused:
            self._adoption.forget(self._lowering.rules_if_any(frontends))
        self.abandoned = tuple(udp_destinations(self._adoption.stale(), self.family))
        rest = self._adoption.rest()
        self._note(rest)
        self._clock.lap("delta")
        for portion in portions(rest, self._batch_size):
            self._input.add(portion)
            self._flush()
        if refused:
            self.operations += self._search.take_out(refused)
            self._clock.lap("commit")

    def _note(self, edits: Edits) -> None:
        """The chains that all Services share: their names are for people, unlike those of Service ports."""
        _count(self._drift, edits)
        for chain in (*edits.chains, *dict.fromkeys(chain for chain, _ in (*edits.added, *edits.jumps)), *edits.gone):
            self._drift.of(f"chain {chain.name} of table {chain.table.value}")


def _count(drift: Drift, edits: Edits) -> None:
    drift.count("chains", len(edits.chains) + len(edits.gone))
    drift.count("rules", len(edits.added) + len(edits.removed) + len(edits.jumps))
