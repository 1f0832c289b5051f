"""What the kernel counts while a change is watched, against the minutes before it. Pure, but for the reader of `Signals`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from msgspec import Struct

from proxyconfig_agent.checks.probes.model import Answer
from proxyconfig_api.spec.sections import Mode
from proxyconfig_api.status.rollout import ProbeResult

SAMPLES = 13
SAMPLE_S = 10.0
"""Two minutes of samples."""

LEAST_PER_S = 20.0
"""Fewer failures than these say nothing: parallel queries of a DNS client alone make some."""

SHORTEST_S = 1.0
"""In a shorter time a handful of packets would be a high rate."""

TIMES = 10.0
"""So many times the rate of the minutes before counts against a change."""

_WRAP = 1 << 32


INSERTS_FAILED, CONNTRACK_DROPS = "conntrack/insert_failed", "conntrack/drop"
TCP_RESETS, ICMP_UNREACHABLE = "tcp/resets", "icmp/unreachable"
COUNTED = {
    INSERTS_FAILED: "connections a second that conntrack could not take",
    CONNTRACK_DROPS: "packets a second dropped by conntrack",
    TCP_RESETS: "TCP resets a second sent by the node",
    ICMP_UNREACHABLE: "packets a second rejected as unreachable",
}
"""What each counter counts, in words. Resets: the node's own, as where a packet for a Service comes to the node itself."""


class Sample(Struct, frozen=True):
    """`at` in monotonic seconds; None, or no value: the kernel has no counter."""

    at: float
    counts: Mapping[str, int | None]


class Baseline(Struct, frozen=True):
    """What a change is compared with: the oldest sample of the minutes before it, and the one at its beginning."""

    first: Sample | None
    since: Sample


class Signals:
    """Samples of the kernel's counters, for a comparison at any time. `read` as `counters.read`, `clock` monotonic."""

    def __init__(self, read: Callable[[], Mapping[str, int | None]], clock: Callable[[], float]) -> None:
        self._read, self._clock = read, clock
        self._samples: deque[Sample] = deque(maxlen=SAMPLES)

    def baseline(self) -> Baseline:
        """Of a change that begins now."""
        return Baseline(self._samples[0] if self._samples else None, self._now())

    def sample_if_due(self) -> None:
        """To be called every second or so."""
        if not self._samples or self._clock() >= self._samples[-1].at + SAMPLE_S:
            self._samples.append(self._now())

    def answers(self, baseline: Baseline, unlike: Mapping[str, str]) -> tuple[Answer, ...]:
        """What was counted until now, in the light of the minutes before the change; but for those of which `unlike` tells why it is no
        measure."""
        first, since, now = baseline.first, baseline.since, self._now()
        rates = ((name, _rate(first, since, name), _rate(since, now, name)) for name in COUNTED if name not in unlike)
        return (*(compared(*each) for each in rates), *(Answer(name, ProbeResult.NOT_APPLICABLE, why) for name, why in unlike.items()))

    def _now(self) -> Sample:
        return Sample(self._clock(), self._read())


def unlike(old: Mode, new: Mode) -> Mapping[str, str]:
    """Which counters say nothing about a change between these modes, and why."""
    if new is Mode.USERSPACE and old is not Mode.USERSPACE:
        return {TCP_RESETS: "in userspace mode the node itself ends connections, also those that a client or a pod resets"}
    return {}


def compared(name: str, before: float | None, after: float | None) -> Answer:
    """Rates per second; None: unknown."""
    if after is None:
        return Answer(name, ProbeResult.NOT_APPLICABLE, "the kernel does not count it, or not long enough")
    if after < LEAST_PER_S or (before is not None and after < TIMES * before):
        return Answer(name, ProbeResult.PASSED)
    usual = "an unknown number" if before is None else f"{before:.1f}"
    result = ProbeResult.NOT_APPLICABLE if before is None else ProbeResult.FAILED
    return Answer(name, result, f"{after:.0f} {COUNTED[name]} since the change, {usual} in the minutes before")


def _rate(first: Sample | None, last: Sample, name: str) -> float | None:
    if first is None or last.at < first.at + SHORTEST_S:
        return None
    was, now = first.counts.get(name), last.counts.get(name)
    return None if was is None or now is None else ((now - was) % _WRAP) / (last.at - first.at)
