"""What the kernel counts while a change is watched, against the minutes before it. Pure, but for `Signals.sample`'s reader."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from proxyconfig_agent.checks.probes.model import Answer
from proxyconfig_agent.node.conntrack.statistics import Statistics
from proxyconfig_api.status.rollout import ProbeResult

SAMPLES = 13
SAMPLE_S = 10.0
"""Two minutes of samples."""

LEAST_PER_S = 20.0
"""Fewer failures than these say nothing: parallel queries of a DNS client alone make some."""

SHORTEST_S = 1.0
"""In a shorter time a handful of packets would be a high rate."""

TIMES = 10.0
"""So many times the rate of the minutes before speaks against a change."""

_WRAP = 1 << 32


@dataclass(frozen=True, slots=True)
class Sample:
    """`at` in monotonic seconds; None: the kernel has no counter."""

    at: float
    insert_failed: int | None
    dropped: int | None


NAMES = ("conntrack/insert_failed", "conntrack/drop")


class Signals:
    """Samples of conntrack's counters, for a comparison at any time. `read` as `conntrack.statistics.read`, `clock` monotonic."""

    def __init__(self, read: Callable[[], Statistics], clock: Callable[[], float]) -> None:
        self._read, self._clock = read, clock
        self._samples: deque[Sample] = deque(maxlen=SAMPLES)

    def sample(self) -> Sample:
        """Take one now."""
        found = self._read()
        self._samples.append(now := Sample(self._clock(), found.insert_failed, found.dropped))
        return now

    def sample_if_due(self) -> None:
        """To be called every second or so."""
        if not self._samples or self._clock() >= self._samples[-1].at + SAMPLE_S:
            self.sample()

    def answers(self, since: Sample, now: Sample) -> tuple[Answer, ...]:
        """What was counted between the two, in the light of the samples before `since`."""
        first = next((sample for sample in self._samples if sample.at < since.at), None)
        return (
            compared(NAMES[0], _rate(first, since, "insert_failed"), _rate(since, now, "insert_failed")),
            compared(NAMES[1], _rate(first, since, "dropped"), _rate(since, now, "dropped")),
        )


def compared(name: str, before: float | None, after: float | None) -> Answer:
    """Rates per second; None: unknown."""
    if after is None:
        return Answer(name, ProbeResult.NOT_APPLICABLE, "the kernel does not count it, or not long enough")
    if after < LEAST_PER_S or (before is not None and after < TIMES * before):
        return Answer(name, ProbeResult.PASSED)
    usual = "an unknown number" if before is None else f"{before:.1f}"
    result = ProbeResult.NOT_APPLICABLE if before is None else ProbeResult.FAILED
    return Answer(name, result, f"{after:.0f} packets a second since the change, {usual} in the minutes before")


def _rate(first: Sample | None, last: Sample, counter: str) -> float | None:
    if first is None or last.at < first.at + SHORTEST_S:
        return None
    was, now = getattr(first, counter), getattr(last, counter)
    return None if was is None or now is None else ((now - was) % _WRAP) / (last.at - first.at)
