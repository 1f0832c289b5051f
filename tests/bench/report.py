"""What a run says, on the terminal and in docs/benchmarks.md. Pure: it gets the measurements and the machine's description."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from tests.bench import changes, firstsync, measure, table
from tests.bench.results import GOALS_AT, Comparison, Measurement, comparisons
from tests.bench.subjects import AGENT, KUBE_PROXY

_PAGE = Path(__file__).with_name("benchmarks.md.template")


@dataclass(frozen=True, slots=True)
class Report:
    """A run: what was measured, where, and against which kube-proxy."""

    measurements: Sequence[Measurement]
    machine: Sequence[str]
    kube_proxy: str

    def compared(self) -> list[table.Rows]:
        """A table for each size that both subjects were measured at."""
        sizes = {AGENT: self._sizes(AGENT), KUBE_PROXY: self._sizes(KUBE_PROXY)}
        return [table.compared(comparisons(self.measurements, services)) for services in sorted(sizes[AGENT] & sizes[KUBE_PROXY])]

    def growth(self) -> list[table.Rows]:
        """A table for each subject, over all its sizes."""
        subjects = dict.fromkeys(one.subject for one in self.measurements)
        return [table.measured(one for one in self.measurements if one.subject == subject) for subject in subjects]

    def where_the_time_goes(self) -> list[table.Rows]:
        ours = [one for one in self.measurements if one.subject == AGENT and one.changes]
        return [table.first_sync_by_stage(ours), table.changes_by_stage(ours)] if ours else []

    def remarks(self) -> list[str]:
        """What did not finish, or was wrong."""
        return [f"{one.subject}, {one.services:,} Services: {remark}." for one in self.measurements for remark in one.remarks]

    def missed(self) -> list[Comparison]:
        """The goals that were not reached; not those that were not tried."""
        return [one for one in comparisons(self.measurements, GOALS_AT) if one.met is False]

    def text(self) -> str:
        """Everything, for a terminal."""
        tables = [*self.compared(), *self.growth(), *self.where_the_time_goes()]
        return "\n\n".join([*map(table.plain, tables), *self.remarks()])

    def page(self) -> str:
        """docs/benchmarks.md."""
        tool_mib = max((one.tool_rss_mib for one in self.measurements if one.subject == KUBE_PROXY), default=0.0)
        return Template(_PAGE.read_text()).substitute(
            kube_proxy=self.kube_proxy,
            machine="\n".join(f"- {line}" for line in self.machine),
            compared="\n\n".join(map(table.markdown, self.compared())),
            growth="\n\n".join(map(table.markdown, self.growth())),
            stages="\n\n".join(map(table.markdown, self.where_the_time_goes())),
            remarks="\n".join(f"- {line}" for line in self.remarks())
            or "- none: everything finished, and the kernel was complete at the end.",
            tool=f"{tool_mib:.0f}",
            starts=measure.STARTS,
            changes=measure.CHANGES,
            burst=measure.BURST,
            rate=changes.BURST_PER_S,
            pause=f"{changes.PAUSE_S:g}",
            settle=2 * measure.SETTLE_S,
            quiet=f"{firstsync.QUIET_S:g}",
            poll=f"{1000 * firstsync.POLL_S:g}",
        )

    def _sizes(self, subject: str) -> set[int]:
        return {one.services for one in self.measurements if one.subject == subject}
