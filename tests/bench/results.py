"""The numbers of a run, and what follows from them: medians, ratios, which goals are met. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.bench.subjects import AGENT, KUBE_PROXY


@dataclass(frozen=True, slots=True)
class Change:
    """One endpoint change, from sending the write: until the API server answered, until it told watchers, until the kernel had it."""

    answered_ms: float
    told_ms: float
    kernel_ms: float


@dataclass(frozen=True, slots=True)
class FirstSync:
    """One start, until the kernel had everything."""

    took_s: float
    cpu_s: float
    stages_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One subject at one size. None is what did not finish in its time; `remarks` say what and why."""

    subject: str
    mode: str
    services: int
    endpoints: int
    first_syncs: tuple[FirstSync, ...] = ()
    changes: tuple[Change, ...] = ()
    cpu_ms_per_change: float | None = None
    idle_cpu_ms_per_s: float | None = None
    burst_lag_ms: float | None = None
    """From the answer to the last write of a burst of changes until the kernel has everything."""
    burst_cpu_ms_per_change: float | None = None
    rss_mib_steady: float | None = None
    rss_mib_churn: float | None = None
    tool_rss_mib: float = 0.0
    """The most that its child processes (nft) had during a first sync, besides its own memory."""
    change_stages_ms: Mapping[str, float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def first_sync(self) -> FirstSync | None:
        """The median of all."""
        return sorted(self.first_syncs, key=lambda sync: sync.took_s)[len(self.first_syncs) // 2] if self.first_syncs else None

    @property
    def first_sync_s(self) -> float | None:
        return self.first_sync.took_s if self.first_sync else None

    @property
    def first_sync_cpu_s(self) -> float | None:
        return self.first_sync.cpu_s if self.first_sync else None

    @property
    def change_ms_median(self) -> float | None:
        return statistics.median(change.kernel_ms for change in self.changes) if self.changes else None

    @property
    def change_ms_max(self) -> float | None:
        return max((change.kernel_ms for change in self.changes), default=None)


@dataclass(frozen=True, slots=True)
class ColdStart:
    """One start of the agent in a large cluster, until the kernel had everything."""

    services: int
    endpoints: int
    """Of each Service."""
    took_s: float | None
    """None: it did not finish in its time."""
    cpu_s: float = 0.0
    transactions: int = 0
    peak_rss_mib: float = 0.0
    soft_lockups: int = 0
    """That the kernel has complained of meanwhile."""
    stages_ms: Mapping[str, float] = field(default_factory=dict)


_NFTABLES, _IPTABLES, _LEGACY, _IPVS = "nftables", "iptables", "iptables-legacy", "ipvs"


def _goals(nftables: float, iptables: float | None = None, ipvs: float | None = None) -> Mapping[str, float]:
    goals = {_NFTABLES: nftables, _IPTABLES: iptables, _LEGACY: iptables, _IPVS: ipvs}
    return {mode: goal for mode, goal in goals.items() if goal is not None}


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that is compared: its name in results.json, words and unit for people, and the ratio to reach, by mode."""

    name: str
    words: str
    unit: str
    goals: Mapping[str, float] = field(default_factory=dict)

    def of(self, measurement: Measurement) -> float | None:
        value = getattr(measurement, self.name)
        return None if value is None else float(value)


QUANTITIES = (
    Quantity("first_sync_s", "first complete sync", "s", _goals(0.2, 1.0, 0.5)),
    Quantity("first_sync_cpu_s", "CPU time of the first sync", "s"),
    Quantity("change_ms_median", "endpoint change, median", "ms", _goals(0.01, 0.5, 0.1)),
    Quantity("change_ms_max", "endpoint change, worst", "ms", _goals(0.01)),
    Quantity("cpu_ms_per_change", "CPU time per change", "ms", _goals(0.01)),
    Quantity("burst_cpu_ms_per_change", "CPU time per change in a burst", "ms"),
    Quantity("burst_lag_ms", "lag behind a burst", "ms"),
    Quantity("idle_cpu_ms_per_s", "CPU time per idle second", "ms"),
    Quantity("rss_mib_steady", "memory, steady", "MiB", _goals(0.4, 0.7, 0.5)),
    Quantity("rss_mib_churn", "memory after 500 changes", "MiB"),
)
GOALS_AT: Mapping[str, Collection[int]] = {_NFTABLES: (5000,), _IPTABLES: (1000, 5000), _LEGACY: (1000, 5000), _IPVS: (1000,)}
"""The numbers of Services that the goals of a mode are for."""

_RECORDED = (
    *("subject", "mode", "services", "endpoints", "first_sync_s", "change_ms_median", "change_ms_max"),
    *("cpu_ms_per_change", "rss_mib_steady", "rss_mib_churn"),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One quantity of both subjects in one mode and at one size."""

    quantity: Quantity
    mode: str
    services: int
    theirs: float | None
    ours: float | None

    @property
    def ratio(self) -> float | None:
        return None if self.theirs is None or self.ours is None or self.theirs <= 0 else self.ours / self.theirs

    @property
    def goal(self) -> float | None:
        """The ratio to reach, if there is one at this size."""
        return self.quantity.goals.get(self.mode) if self.services in GOALS_AT[self.mode] else None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is no goal or no ratio."""
        return None if self.goal is None or self.ratio is None else self.ratio <= self.goal


def comparisons(measurements: Iterable[Measurement], mode: str, services: int) -> list[Comparison]:
    """Everything that is compared in one mode and at one size; a subject that was not run has no numbers."""
    alike = {one.subject: one for one in measurements if (one.mode, one.services) == (mode, services)}
    theirs, ours = alike.get(KUBE_PROXY), alike.get(AGENT)
    return [
        Comparison(quantity, mode, services, quantity.of(theirs) if theirs else None, quantity.of(ours) if ours else None)
        for quantity in QUANTITIES
    ]


def recorded(measurement: Measurement) -> dict[str, Any]:
    """A measurement as results.json has it."""
    return {name: _rounded(getattr(measurement, name)) for name in _RECORDED}


def detailed(measurement: Measurement) -> dict[str, Any]:
    """Everything about a measurement, each change included."""
    return asdict(measurement)


def _rounded(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value
