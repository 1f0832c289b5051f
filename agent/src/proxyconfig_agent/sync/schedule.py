"""When the next sync is due, and what kind of sync it is. Pure: times in, times out; all of them monotonic seconds.

An audit that is due goes before the changes that wait, as these may never end; it leaves them as they are, so it costs them its own time.
Two audits never follow each other while a change waits.
"""

from __future__ import annotations

from msgspec import Struct

from proxyconfig_agent.sync.result import SyncReason
from proxyconfig_api.spec.sections import ProxyConfigSpec

REST = 2.0
"""After a change that took t to commit, others are gathered for 2 × t: at once when idle, a third of the time at most under load."""

LONGEST_REST_S = 1.0

IDLE_AUDIT_REST = 20.0
"""Somebody commits to the kernel's ruleset, but not to ours: such an audit that took t is not repeated within 20 × t."""

REPAIR_REST = 4.0
"""Somebody changes our rules again and again: they are repaired, but not all the time."""

SHORTEST_AUDIT_REST_S = 0.5

NEVER = float("inf")


class SyncIntervals(Struct, frozen=True):
    """The times that a user sets; `full_s` and `poll_s` 0: never."""

    min_s: float = 0.0
    full_s: float = 3600.0
    poll_s: float = 1.0


def intervals_of(spec: ProxyConfigSpec) -> SyncIntervals:
    """The intervals that the spec sets, for every mode."""
    sync = spec.sync
    return SyncIntervals(min_s=float(sync.min_sync_period), full_s=float(sync.full_sync_period), poll_s=float(sync.drift_check_period))


class Schedule:
    """Ask `due`, do that, and say `begin`, then `changed`, `completed` or `failed`."""

    def __init__(self, intervals: SyncIntervals, now: float) -> None:
        self.intervals = intervals
        self._full: SyncReason | None = SyncReason.START
        self._not_before = self._audit_not_before = self._polled_at = 0.0
        self._ended_at, self._full_at = -NEVER, now
        self._audited = False

    @property
    def requested(self) -> bool:
        """Whether everything is to be programmed anew: at the start, for new settings, after a failure."""
        return self._full is not None and not self._full.is_audit

    def request(self, reason: SyncReason) -> None:
        """A full sync is due as soon as possible."""
        if not self.requested:
            self._full = reason

    def poll(self, now: float) -> bool:
        """Whether the kernel is to be asked for changes by others now."""
        if not self.intervals.poll_s or now < self._polled_at + self.intervals.poll_s:
            return False
        self._polled_at = now
        return self._full is None

    def due(self, now: float, *, waiting: bool) -> SyncReason | None:
        """What to do now; `waiting`: whether there are changes."""
        if self.requested:
            return self._full if now >= self._not_before else None
        change = waiting and now >= self._not_before
        if now >= self._audit_at() and not (change and self._audited):
            return self._full or SyncReason.PERIOD
        return SyncReason.CHANGE if change else None

    def next(self, *, waiting: bool) -> float:
        """When something will be due, unless something happens before."""
        poll = self._polled_at + self.intervals.poll_s if self.intervals.poll_s else NEVER
        if self.requested:
            return min(poll, self._not_before)
        return min(poll, self._audit_at(), self._not_before if waiting else NEVER)

    def begin(self, reason: SyncReason) -> None:
        """What is requested from now on is not part of this sync."""
        if reason is not SyncReason.CHANGE:
            self._full = None

    def changed(self, started: float, ended: float) -> None:
        """Changes are programmed."""
        self._audited, self._ended_at = False, ended
        self._not_before = ended + max(self.intervals.min_s, min(LONGEST_REST_S, REST * (ended - started)))

    def completed(self, reason: SyncReason, started: float, ended: float, *, repaired: bool) -> None:
        """A full sync is through."""
        self._audited, self._ended_at, self._full_at = reason.is_audit, ended, ended
        self._not_before = ended + self.intervals.min_s
        if reason is SyncReason.DRIFT:
            rest = REPAIR_REST if repaired else IDLE_AUDIT_REST
            self._audit_not_before = ended + max(SHORTEST_AUDIT_REST_S, rest * (ended - started))

    def failed(self, reason: SyncReason, now: float, wait_s: float) -> None:
        """Nobody knows what the kernel has: everything is programmed anew, after a pause."""
        self._full = SyncReason.START if reason is SyncReason.START else SyncReason.RETRY
        self._not_before = now + wait_s

    def _audit_at(self) -> float:
        period = self._full_at + self.intervals.full_s if self.intervals.full_s else NEVER
        requested = {SyncReason.DRIFT: self._audit_not_before, SyncReason.PERIOD: 0.0}.get(self._full, NEVER) if self._full else NEVER
        return max(min(requested, period), self._ended_at + self.intervals.min_s)
