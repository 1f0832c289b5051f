"""When the runner may sync again. Pure: times in, times out; all of them monotonic seconds."""

from __future__ import annotations

from dataclasses import dataclass

from proxyconfig_api.spec import ProxyConfigSpec

REST = 2.0
"""After a change that took t to commit, others are gathered for 2 × t: at once when idle, a third of the time at most under load."""

LONGEST_REST_S = 1.0

IDLE_AUDIT_REST = 20.0
"""Somebody commits to the kernel's ruleset, but not to ours: such an audit that took t is not repeated within 20 × t."""

REPAIR_REST = 4.0
"""Somebody changes our rules again and again: they are repaired, but not all the time."""

SHORTEST_AUDIT_REST_S = 0.5


@dataclass(frozen=True, slots=True)
class SyncIntervals:
    """The times that a user sets; `full_s` and `poll_s` 0: never."""

    min_s: float = 0.0
    full_s: float = 3600.0
    poll_s: float = 1.0


def intervals_of(spec: ProxyConfigSpec) -> SyncIntervals:
    """The intervals that the spec sets, for every mode."""
    sync = spec.sync
    return SyncIntervals(min_s=float(sync.min_sync_period), full_s=float(sync.full_sync_period), poll_s=float(sync.drift_check_period))


def rest_after_change_s(pace: SyncIntervals, took_s: float) -> float:
    return max(pace.min_s, min(LONGEST_REST_S, REST * took_s))


def rest_after_audit_s(took_s: float, *, repaired: bool) -> float:
    return max(SHORTEST_AUDIT_REST_S, (REPAIR_REST if repaired else IDLE_AUDIT_REST) * took_s)
