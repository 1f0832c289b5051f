"""What runs say, on the terminal and in docs/benchmarks.md. Pure: it gets the measurements and the machine's description."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from tests.bench import changes, firstsync, measure, table
from tests.bench.modes import FIRST_SYNC_WITHIN_S, MODES
from tests.bench.results import GOALS_AT, ColdStart, Comparison, Measurement, comparisons
from tests.bench.subjects import AGENT, KUBE_PROXY

_PAGE = Path(__file__).with_name("benchmarks.md.template")


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured, where, and against which kube-proxy. Runs of single modes are put together by `renewed`."""

    measurements: Sequence[Measurement]
    machine: Sequence[str]
    kube_proxy: str
    cold_starts: Sequence[ColdStart] = ()
    busy_cpus: Mapping[str, float] = field(default_factory=dict)
    """How many CPUs others used when the measurements of a mode began."""
    kernels: Mapping[str, str] = field(default_factory=dict)
    """Where modes were measured that this machine's kernel cannot do."""

    def renewed(self, newer: Report) -> Report:
        """With the measurements of a later run instead of this one's, mode by mode."""
        modes = {one.mode for one in newer.measurements}
        return Report(
            [*(one for one in self.measurements if one.mode not in modes), *newer.measurements],
            newer.machine,
            newer.kube_proxy,
            newer.cold_starts or self.cold_starts,
            {**self.busy_cpus, **newer.busy_cpus},
            {**{mode: words for mode, words in self.kernels.items() if mode not in modes}, **newer.kernels},
        )

    @property
    def modes(self) -> list[str]:
        measured = {one.mode for one in self.measurements}
        return [mode for mode in MODES if mode in measured]

    def compared(self, mode: str) -> list[table.Rows]:
        """A table for each size that both subjects were measured at."""
        sizes = self._sizes(mode, AGENT) & self._sizes(mode, KUBE_PROXY)
        return [table.compared(comparisons(self.measurements, mode, services)) for services in sorted(sizes)]

    def growth(self, mode: str) -> list[table.Rows]:
        """A table for each subject, over all its sizes."""
        measured = [one for one in self.measurements if one.mode == mode]
        return [table.measured(one for one in measured if one.subject == name) for name in dict.fromkeys(one.subject for one in measured)]

    def where_the_time_goes(self, mode: str) -> list[table.Rows]:
        ours = [one for one in self.measurements if (one.subject, one.mode) == (AGENT, mode) and one.changes]
        return [table.first_sync_by_stage(ours), table.changes_by_stage(ours)] if ours else []

    def remarks(self) -> list[str]:
        """What did not finish, or was wrong."""
        unfinished = [f"{one.services:,} × {one.endpoints}" for one in self.cold_starts if one.took_s is None]
        return [
            *(f"{one.subject}, {one.mode}, {one.services:,} Services: {words}." for one in self.measurements for words in one.remarks),
            *(f"The cold start with {words} did not finish in {FIRST_SYNC_WITHIN_S} s." for words in unfinished),
        ]

    def missed(self) -> list[Comparison]:
        """The goals that were not reached; not those that were not tried."""
        every = [one for mode in self.modes for services in GOALS_AT[mode] for one in comparisons(self.measurements, mode, services)]
        return [one for one in every if one.met is False]

    def text(self) -> str:
        """Everything, for a terminal."""
        tables = [each for mode in self.modes for each in (*self.compared(mode), *self.growth(mode), *self.where_the_time_goes(mode))]
        tables += [table.cold_starts(self.cold_starts)] if self.cold_starts else []
        return "\n\n".join([*map(table.plain, tables), *self.remarks()])

    def page(self) -> str:
        """docs/benchmarks.md."""
        loads = ", ".join(f"{mode} {busy:.1f}" for mode, busy in self.busy_cpus.items())
        lines = [*self.machine, f"load of others when it began, in CPUs: {loads or 'unknown'}"]
        return Template(_PAGE.read_text()).substitute(
            kube_proxy=self.kube_proxy,
            machine="\n".join(f"- {line}" for line in lines),
            modes="\n\n".join(map(self._section, self.modes)),
            cold=table.markdown(table.cold_starts(self.cold_starts)) if self.cold_starts else "Not measured.",
            remarks="\n".join(f"- {line}" for line in self.remarks())
            or "- none: everything finished, and the kernel was complete at the end.",
            tools=self._tools(),
            starts=measure.STARTS,
            changes=measure.CHANGES,
            burst=measure.BURST,
            rate=changes.BURST_PER_S,
            pause=f"{changes.PAUSE_S:g}",
            settle=2 * measure.SETTLE_S,
            quiet=f"{firstsync.QUIET_S:g}",
            poll=f"{1000 * firstsync.POLL_S:g}",
        )

    def _section(self, mode: str) -> str:
        words = MODES[mode].words
        parts = [
            f"## {words[0].upper()}{words[1:]}: side by side",
            *([f"Measured on {self.kernels[mode]}: compare the columns, not modes."] if mode in self.kernels else []),
            *map(table.markdown, self.compared(mode)),
            "### How it grows",
            *map(table.markdown, self.growth(mode)),
            "### Where the agent's time goes",
            *map(table.markdown, self.where_the_time_goes(mode)),
        ]
        return "\n\n".join(parts)

    def _tools(self) -> str:
        """The memory of the programs that subjects start."""
        most = {(one.mode, one.subject): one.tool_rss_mib for one in sorted(self.measurements, key=lambda one: one.tool_rss_mib)}
        told = (f"{subject} in mode {mode} up to {mib:.0f} MiB" for (mode, subject), mib in most.items() if mib)
        return "; ".join(told) or "none were seen"

    def _sizes(self, mode: str, subject: str) -> set[int]:
        return {one.services for one in self.measurements if (one.mode, one.subject) == (mode, subject)}
