"""A full resync of one family: what the kernel has against all that is wanted, in portions that iptables-restore is quick with."""

from __future__ import annotations

from collections.abc import Iterable

from proxyconfig_agent.dataplane import Change, Destination
from proxyconfig_agent.drift import Drift
from proxyconfig_agent.ingest.values import Family, ServiceName
from proxyconfig_agent.iptables.abandoned import udp_destinations
from proxyconfig_agent.iptables.adoption import Adoption
from proxyconfig_agent.iptables.delta import NONE, Edits
from proxyconfig_agent.iptables.lowering import Lowering
from proxyconfig_agent.iptables.search import Search
from proxyconfig_agent.iptables.tool import Backend, LockedError, ToolError
from proxyconfig_agent.iptables.writer import Writer
from proxyconfig_agent.select.frontends import Frontends
from proxyconfig_agent.stopwatch import Stopwatch

PORTION = {Backend.NFT: 600, Backend.LEGACY: 1 << 62}
"""Operations per input. iptables-nft-restore takes quadratic time in the chains of its input (5,000 Services × 10 endpoints: 7 s in
portions, minutes at once); iptables-legacy-restore reads and writes the whole table each time, however little changes."""


class Fill:
    """Call `begin`, then `port` for all wanted ones, then `end`. All raise ToolError, for what is no Service's fault."""

    def __init__(self, writer: Writer, lowering: Lowering, refused: dict[ServiceName, str], clock: Stopwatch, drift: Drift) -> None:
        self._writer, self._lowering, self._refused, self._clock = writer, lowering, refused, clock
        self._search = Search(writer, lowering, refused)
        self._portion = PORTION[writer.backend]
        self._input, self._batch = lowering.input(), list[Change]()
        self._drift = drift
        self.operations = 0
        self.abandoned: tuple[Destination, ...] = ()

    @property
    def family(self) -> Family:
        return self._lowering.family

    def begin(self) -> None:
        """Read, and see to what there always is."""
        self._adoption = Adoption(self._lowering.fixed, self._writer.read(self._lowering.family))
        self._clock.lap("read")
        self._add(self._adoption.structure())

    def port(self, frontends: Frontends) -> None:
        if frontends.name.service in self._refused:
            return
        rules = self._lowering.rules(frontends)
        self._lowering.tally(NONE, rules)
        self._clock.lap("lower")
        edits = self._adoption.port(rules)
        self._input.add(edits)
        if len(edits):
            _count(self._drift, edits)
            self._drift.of(frontends.name)
        self._batch.append(Change(None, frontends))
        self._clock.lap("delta")
        if self._input.operations >= self._portion:
            self.flush()

    def flush(self) -> None:
        """Commit what has gathered."""
        given, batch = self._input, self._batch
        self._input, self._batch = self._lowering.input(), []
        try:
            self.operations += self._writer.commit(self._lowering.family, given)
        except LockedError:
            raise
        except ToolError:
            if not batch:
                raise
            self.operations += self._search.carry_out(batch)
        self._clock.lap("commit")

    def end(self, gone: Iterable[Frontends]) -> None:
        """Take away what nobody wants, and the refused Service ports, `gone`."""
        refused = list(gone)
        for frontends in refused:
            self._adoption.forget(self._lowering.rules(frontends))
        self.abandoned = tuple(udp_destinations(self._adoption.stale(), self.family))
        self._add(self._adoption.rest())
        self._clock.lap("delta")
        self.flush()
        if refused:
            self.operations += self._search.take_out(refused)
            self._clock.lap("commit")

    def _add(self, edits: Edits) -> None:
        """What is no Service port's own: its chains have names that say something."""
        self._input.add(edits)
        _count(self._drift, edits)
        for chain in (*edits.chains, *dict.fromkeys(chain for chain, _ in (*edits.added, *edits.jumps)), *edits.gone):
            self._drift.of(f"chain {chain.name} of table {chain.table.value}")


def _count(drift: Drift, edits: Edits) -> None:
    drift.count("chains", len(edits.chains) + len(edits.gone))
    drift.count("rules", len(edits.added) + len(edits.removed) + len(edits.jumps))
