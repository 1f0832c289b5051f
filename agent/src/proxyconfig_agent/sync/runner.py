"""Brings the kernel to what the cluster wants: at once when idle, gathered under load, all of it from time to time and after trouble.

The runner owns scheduling and retries, and nothing else: what to program is `Cluster`'s, how is the `Dataplane`'s, telling is `tell`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import NoReturn

import structlog

from proxyconfig_agent.dataplane.port import ConflictError, Dataplane, DataplaneError, Outcome, Refusal, Settings
from proxyconfig_agent.ingest.model import Family, ServiceName
from proxyconfig_agent.select.frontends import Frontends
from proxyconfig_agent.state.cluster import Cluster, Programmed
from proxyconfig_agent.sync.result import SyncReason, SyncResult
from proxyconfig_agent.sync.schedule import SyncIntervals, rest_after_audit_s, rest_after_change_s
from proxyconfig_client.backoff import Backoff
from proxyconfig_client.clock import Clock

_log = structlog.get_logger("runner")

_NEVER = float("inf")


class Runner:
    """One mode on one node. Start `run` when the cluster is known as a whole: the first sync removes what is not in it."""

    def __init__(
        self,
        cluster: Cluster,
        dataplane: Dataplane,
        settings: Settings,
        tell: Callable[[SyncResult], None],
        *,
        pace: SyncIntervals,
        clock: Clock,
        backoff: Backoff,
    ) -> None:
        self._cluster, self._dataplane, self._settings, self._tell = cluster, dataplane, settings, tell
        self._pace, self._clock, self._backoff = pace, clock, backoff
        self._full: SyncReason | None = SyncReason.START
        self._not_before = self._audit_not_before = self._polled_at = 0.0
        self._full_at = clock.monotonic()
        self._suspicious = False  # somebody else was in the kernel since the last full sync
        self._refused: dict[ServiceName, str] = {}
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """The cluster has changed."""
        self._woken.set()

    def configure(self, settings: Settings, pace: SyncIntervals) -> bool:
        """Go on with these, at once; returns whether it takes a sync to do so."""
        self._pace = pace
        self._woken.set()
        if settings == self._settings:
            return self._full in (SyncReason.START, SyncReason.SETTINGS, SyncReason.RETRY)
        self._settings = settings
        self.resync(SyncReason.SETTINGS)
        return True

    def resync(self, reason: SyncReason) -> None:
        """Bring the whole kernel state to what is wanted as soon as possible."""
        if self._full in (None, SyncReason.DISTURBED):
            self._full = reason
        self._woken.set()

    async def run(self) -> NoReturn:
        while True:
            pause_s = self.step() - self._clock.monotonic()
            try:
                async with asyncio.timeout(max(0.0, pause_s) if pause_s < _NEVER else None):
                    await self._woken.wait()
            except TimeoutError:
                pass
            self._woken.clear()

    def step(self) -> float:
        """Do what is due; return when there will be something to do (monotonic seconds), unless `wake` comes earlier."""
        now = self._clock.monotonic()
        self._poll(now)
        reason = self._due(now)
        if reason is not None:
            self._sync(reason)
            now = self._clock.monotonic()
        return max(now, self._next())

    def _poll(self, now: float) -> None:
        """Ask the kernel whether somebody else was there, now and then."""
        if not self._pace.poll_s or now < self._polled_at + self._pace.poll_s:
            return
        self._polled_at = now
        try:
            if self._full is None and self._dataplane.disturbed():
                self._full, self._suspicious = SyncReason.DISTURBED, True
        except (DataplaneError, OSError) as error:
            self._failed(SyncReason.DISTURBED, now, error)

    def _due(self, now: float) -> SyncReason | None:
        if now < self._not_before:
            return None
        if self._cluster.dirty and self._full in (None, SyncReason.DISTURBED):
            return SyncReason.CHANGE  # first, so that an audit finds only what others did
        if self._full is not None and (self._full is not SyncReason.DISTURBED or now >= self._audit_not_before):
            return self._full
        return SyncReason.PERIOD if self._pace.full_s and now >= self._full_at + self._pace.full_s else None

    def _next(self) -> float:
        times = [self._polled_at + self._pace.poll_s if self._pace.poll_s else _NEVER]
        if self._full is not None:
            times.append(self._audit_not_before if self._full is SyncReason.DISTURBED else 0.0)
        if self._cluster.dirty:
            times.append(0.0)
        if self._pace.full_s:
            times.append(self._full_at + self._pace.full_s)
        # Nothing but the poll may come before the rest is over.
        return min(times[0], max(self._not_before, min(times[1:], default=_NEVER)))

    def _sync(self, reason: SyncReason) -> None:
        """One sync, told and logged. A failure makes the next one a full one, after a back-off."""
        started = self._clock.monotonic()
        try:
            sync = self._apply(started) if reason is SyncReason.CHANGE else self._resync(reason, started)
        except (DataplaneError, OSError) as error:
            self._failed(reason, started, error)
            return
        self._backoff.succeeded()
        log = _log.info if sync.full or sync.refused else _log.debug
        log(
            "synced",
            reason=reason.value,
            operations=sync.operations,
            took_s=round(sync.took_s, 6),
            services=sync.services,
            refused=len(sync.refused),
        )
        self._tell(sync)

    def _apply(self, started: float) -> SyncResult:
        """Commit what has changed."""
        batch = self._cluster.changes()
        selected = self._clock.monotonic()
        outcome = self._dataplane.apply(batch.changes) if batch.changes else Outcome()
        for name in batch.wanted:
            self._refused.pop(name, None)
        self._settle(batch.wanted, outcome)
        if self._refused and any(change.new is None for change in batch.changes):
            # What ids and memory were lacking for may fit in now.
            self._cluster.mark(set(self._refused) - batch.wanted.keys())
        ended, wall = self._clock.monotonic(), self._clock.wall()
        self._not_before = ended + rest_after_change_s(self._pace, ended - started)
        delays_s = tuple((family, wall - triggered_at) for family, triggered_at in batch.triggered_at)
        return self._told(SyncReason.CHANGE, started, outcome, selected - started, delays_s=delays_s)

    def _resync(self, reason: SyncReason, started: float) -> SyncResult:
        """Bring all of the kernel's state to what is wanted."""
        wanted: dict[ServiceName, Programmed] = {}
        select_s = 0.0

        def frontends() -> Iterator[Frontends]:
            nonlocal select_s
            before = self._clock.monotonic()
            for name, selected in self._cluster.everything():
                select_s += self._clock.monotonic() - before
                wanted[name] = selected
                yield from selected
                before = self._clock.monotonic()

        outcome = self._dataplane.resync(self._settings, frontends())
        audit = self._suspicious or reason is SyncReason.PERIOD
        repaired = (outcome.repaired or f"{outcome.operations} kernel objects") if audit and outcome.operations else ""
        self._refused.clear()
        self._cluster.forget()
        self._settle(wanted, outcome)
        self._full, self._suspicious = None, False
        self._full_at = ended = self._clock.monotonic()
        self._not_before = ended + self._pace.min_s
        if reason is SyncReason.DISTURBED:
            self._audit_not_before = ended + rest_after_audit_s(ended - started, repaired=bool(repaired))
        return self._told(reason, started, outcome, select_s, repaired=repaired)

    def _settle(self, wanted: dict[ServiceName, Programmed], outcome: Outcome) -> None:
        self._refused.update((refusal.service, refusal.reason) for refusal in outcome.refused)
        self._cluster.settle(wanted, [refusal.service for refusal in outcome.refused])

    def _told(
        self,
        reason: SyncReason,
        started: float,
        outcome: Outcome,
        select_s: float,
        *,
        repaired: str = "",
        delays_s: tuple[tuple[Family, float], ...] = (),
    ) -> SyncResult:
        return SyncResult(
            reason=reason,
            ended_at=self._clock.wall(),
            took_s=self._clock.monotonic() - started,
            operations=outcome.operations,
            repaired=repaired,
            refused=self.refused(),
            stages_s={"select": select_s, **outcome.took_s},
            delays_s=delays_s,
            rules=outcome.rules,
            services=self._cluster.services,
            ports=self._cluster.ports,
            endpoints=self._cluster.endpoints,
        )

    def refused(self) -> tuple[Refusal, ...]:
        """All Services that are set aside, by the data plane or, in whole or in part, for what they are."""
        everywhere = [Refusal(name, "; ".join(sentences), everywhere=True) for name, sentences in self._cluster.rejections()]
        here = [Refusal(name, reason) for name, reason in self._refused.items()]
        return tuple(sorted(here + everywhere, key=lambda refusal: refusal.service))

    def _failed(self, reason: SyncReason, started: float, error: Exception) -> None:
        now, wait_s = self._clock.monotonic(), self._backoff.wait_s()
        self._suspicious |= isinstance(error, ConflictError)
        self._full, self._not_before = SyncReason.RETRY if reason is not SyncReason.START else reason, now + wait_s
        _log.error("sync failed", reason=reason.value, error=str(error), retry_in_s=round(wait_s, 2))
        self._tell(
            SyncResult(reason, self._clock.wall(), now - started, refused=self.refused(), services=self._cluster.services, error=str(error))
        )
