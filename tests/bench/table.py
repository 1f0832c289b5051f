"""Tables for people: the same rows as text for a terminal or as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from tests.bench.results import QUANTITIES, ColdStart, Comparison, FirstSync, Measurement
from tests.bench.subjects import AGENT, KUBE_PROXY

Rows = Sequence[Sequence[str]]
"""The first row is the head; the first column is words, the others are numbers."""

STAGES = ("decode", "select", "read", "lower", "delta", "commit")
UNFINISHED = "–"


def plain(rows: Rows) -> str:
    """Columns as wide as their widest cell, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width) for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def markdown(rows: Rows) -> str:
    head, *body = ("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join([head, "|---" + "|---:" * (len(rows[0]) - 1) + "|", *body])


def compared(comparisons: Iterable[Comparison]) -> Rows:
    """Both subjects at one size, with ratios and goals."""
    listed = list(comparisons)
    head = (f"{listed[0].services:,} Services × 10 endpoints, {listed[0].mode}", KUBE_PROXY, AGENT, "ratio", "goal")
    return [head, *(_compared(comparison) for comparison in listed)]


def measured(measurements: Iterable[Measurement]) -> Rows:
    """One column per measurement, the number of Services above it."""
    listed = list(measurements)
    head = (listed[0].subject, *(f"{measurement.services:,} Services" for measurement in listed))
    return [head, *((quantity.words, *(number(quantity.of(one), quantity.unit) for one in listed)) for quantity in QUANTITIES)]


def changes_by_stage(measurements: Iterable[Measurement]) -> Rows:
    """Where the time of one change goes in the agent, on average, by number of Services."""
    listed = [measurement for measurement in measurements if measurement.changes]
    head = ("where one change's time goes, mean", *(f"{measurement.services:,} Services" for measurement in listed))
    return [head, *_transposed([_change_parts(measurement) for measurement in listed])]


def first_sync_by_stage(measurements: Iterable[Measurement]) -> Rows:
    """Where the time of a first sync goes in the agent, by number of Services."""
    listed = [(measurement.services, measurement.first_sync) for measurement in measurements if measurement.first_sync]
    head = ("where the first sync's time goes", *(f"{services:,} Services" for services, _ in listed))
    return [head, *_transposed([_first_sync_parts(sync) for _, sync in listed])]


def cold_starts(starts: Iterable[ColdStart]) -> Rows:
    """One column per cluster."""
    listed = list(starts)
    head = ("cold start of the agent", *(f"{start.services:,} × {start.endpoints}" for start in listed))
    rows = [
        ("first complete sync", *(number(start.took_s, "s") for start in listed)),
        ("CPU time of it", *(number(start.cpu_s, "s") for start in listed)),
        ("transactions", *(f"{start.transactions:,}" for start in listed)),
        ("largest memory meanwhile", *(number(start.peak_rss_mib, "MiB") for start in listed)),
        ("soft lock-ups", *(f"{start.soft_lockups}" for start in listed)),
    ]
    return [head, *rows, *_transposed([_known(start.stages_ms) for start in listed])]


def number(value: float | None, unit: str) -> str:
    """A number with three significant digits, and its unit."""
    if value is None:
        return UNFINISHED
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f} {unit}"


def ratio(value: float | None) -> str:
    if value is None:
        return UNFINISHED
    if value >= 0.1:
        return f"{value:.2f}"
    return f"{value:.4f}" if value >= 0.0001 else "< 0.0001"


def _compared(comparison: Comparison) -> tuple[str, ...]:
    unit, goal = comparison.quantity.unit, ""
    if comparison.goal is not None:
        goal = f"≤ {comparison.goal:g}" + {True: ": met", False: ": missed", None: ""}[comparison.met]
    return (comparison.quantity.words, number(comparison.theirs, unit), number(comparison.ours, unit), ratio(comparison.ratio), goal)


def _change_parts(measurement: Measurement) -> Mapping[str, float]:
    """Milliseconds by part. The API server's is until it tells a second watcher, who may be slower than the agent.

    In iptables mode the kernel has a change before iptables-restore has ended, so the parts can be more than all."""
    stages = _known(measurement.change_stages_ms)
    own = sum(stages.values())
    server = fmean(min(change.told_ms, max(0.0, change.kernel_ms - own)) for change in measurement.changes)
    total = fmean(change.kernel_ms for change in measurement.changes)
    return _with_rest({"API server": server, **stages}, total, "reading, waking up") | {"the agent's stages": own}


def _first_sync_parts(sync: FirstSync) -> Mapping[str, float]:
    return _with_rest(_known(sync.stages_ms), 1000 * sync.took_s, "starting Python, waiting for lists")


def _known(stages_ms: Mapping[str, float]) -> dict[str, float]:
    """The stages in the order of the pipeline, those that we do not know of behind them."""
    order = [*STAGES, *sorted(stages_ms.keys() - set(STAGES))]
    return {stage: stages_ms[stage] for stage in order if stage in stages_ms}


def _with_rest(parts: Mapping[str, float], total: float, rest: str) -> dict[str, float]:
    return {**parts, rest: max(0.0, total - sum(parts.values())), "all": total}


def _transposed(columns: Sequence[Mapping[str, float]]) -> Rows:
    names = dict.fromkeys(name for column in columns for name in column)
    return [(name, *(number(column.get(name), "ms") for column in columns)) for name in names]
