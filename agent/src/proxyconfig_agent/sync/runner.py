"""Brings the kernel to the state of the cluster: at once when idle, gathered under load, all of it from time to time and after trouble.

The runner carries out what the schedule says is due, and knows what is programmed. What takes long runs in a worker thread on a snapshot
of the cluster, so that the event loop goes on; a small change goes to the data plane directly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NoReturn

import structlog

from proxyconfig_agent.dataplane.port import Change, ConflictError, Dataplane, DataplaneError, Outcome, Refusal, Settings
from proxyconfig_agent.ingest.model import Family, ServiceName
from proxyconfig_agent.state.batch import Batch, changes_of, everything
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.programmed import Programmed
from proxyconfig_agent.state.rejections import Rejections
from proxyconfig_agent.state.settlement import Settlement
from proxyconfig_agent.sync.result import SyncReason, SyncResult
from proxyconfig_agent.sync.schedule import NEVER, Schedule, SyncIntervals
from proxyconfig_agent.sync.worker import Offload, in_thread
from proxyconfig_client.process.backoff import Backoff
from proxyconfig_client.process.clock import Clock

MANY = 1000
"""Services and endpoints. To select for more takes milliseconds, and is done outside of the event loop."""

_log = structlog.get_logger("runner")


class Runner:
    """One mode on one node. Start `run` when the cluster is known as a whole: the first sync removes what is not in it."""

    def __init__(
        self,
        cluster: ClusterState,
        programmed: Programmed,
        dataplane: Dataplane,
        settings: Settings,
        tell: Callable[[SyncResult], None],
        *,
        intervals: SyncIntervals,
        clock: Clock,
        backoff: Backoff,
        offload: Offload = in_thread,
    ) -> None:
        self._cluster, self._programmed, self._dataplane, self._settings, self._tell = cluster, programmed, dataplane, settings, tell
        self._clock, self._backoff, self._offload = clock, backoff, offload
        self._schedule = Schedule(intervals, clock.monotonic())
        self._rejections = Rejections()
        self._settlement = Settlement(programmed, self._rejections)
        self._syncing: SyncReason | None = None
        self._suspicious = False  # another program was in the kernel since the last full sync
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """The cluster has changed."""
        self._woken.set()

    def configure(self, settings: Settings, intervals: SyncIntervals) -> bool:
        """Go on with these, at once; returns whether it takes a sync to do so."""
        self._schedule.intervals = intervals
        self._woken.set()
        if settings != self._settings:
            self._settings = settings
            self._schedule.request(SyncReason.SETTINGS)
        return self._schedule.requested or self._syncing not in (None, SyncReason.CHANGE)

    def resync(self, reason: SyncReason) -> None:
        """Bring the whole kernel state to the desired one as soon as possible."""
        self._schedule.request(reason)
        self._woken.set()

    async def run(self) -> NoReturn:
        """Sync until cancelled; a sync that is under way ends first."""
        while True:
            pause_s = await self.step() - self._clock.monotonic()
            try:
                async with asyncio.timeout(max(0.0, pause_s) if pause_s < NEVER else None):
                    await self._woken.wait()
            except TimeoutError:
                pass
            self._woken.clear()

    async def step(self) -> float:
        """Do what is due; return when there will be something to do (monotonic seconds), unless `wake` comes earlier."""
        now = self._clock.monotonic()
        if self._schedule.poll(now):
            await self._poll(now)
            now = self._clock.monotonic()
        reason = self._schedule.due(now, waiting=bool(self._cluster.pending))
        if reason is not None:
            await self._sync(reason)
            now = self._clock.monotonic()
        return max(now, self._schedule.next(waiting=bool(self._cluster.pending)))

    async def _poll(self, now: float) -> None:
        """Ask the kernel whether another program was there. It may delete much then: what has drained, or a mode that leaves."""
        try:
            if await self._offload(self._dataplane.disturbed):
                self._schedule.request(SyncReason.DRIFT)
                self._suspicious = True
        except (DataplaneError, OSError) as error:
            self._failed(SyncReason.DRIFT, now, error)

    async def _sync(self, reason: SyncReason) -> None:
        """One sync, told and logged. A failure makes the next one a full one, after a back-off."""
        started = self._clock.monotonic()
        self._schedule.begin(reason)
        self._syncing = reason
        try:
            result = await (self._apply(started) if reason is SyncReason.CHANGE else self._resync(reason, started))
        except (DataplaneError, OSError) as error:
            self._failed(reason, started, error)
        except Exception as error:
            _log.exception("a sync failed unexpectedly")
            fault = f"the agent fails in a sync ({type(error).__name__}: {error}); please report it with the agent's log"
            self._failed(reason, started, DataplaneError(fault))
        else:
            self._backoff.succeeded()
            self._report(result)
        finally:
            self._syncing = None

    def _report(self, result: SyncResult) -> None:
        log = _log.info if result.full or result.refused else _log.debug
        log(
            "synced",
            reason=result.reason.value,
            operations=result.operations,
            took_s=round(result.took_s, 6),
            services=result.services,
            refused=len(result.refused),
        )
        self._tell(result)

    async def _apply(self, started: float) -> SyncResult:
        """Commit what has changed."""
        pending = self._cluster.pending.take()
        batch = await self._select(pending)
        selected_s = self._clock.monotonic() - started
        outcome = await self._commit(batch.changes)
        await self._settle(self._settlement.settle(batch.wanted, outcome.refused))
        if any(change.new is None for change in batch.changes):
            # What ids and memory were lacking for may fit in now.
            self._cluster.mark(self._rejections.refused_here() - batch.wanted.keys())
        self._schedule.changed(started, self._clock.monotonic())
        return self._result(SyncReason.CHANGE, started, outcome, selected_s, delays_s=self._delays_s(pending))

    async def _select(self, names: Mapping[ServiceName, object]) -> Batch:
        if len(names) + self._cluster.endpoints(names) > MANY:
            return await self._offload(partial(changes_of, names, self._cluster.snapshot(), self._programmed))
        return changes_of(names, self._cluster.view(), self._programmed)

    async def _commit(self, changes: tuple[Change, ...]) -> Outcome:
        if not changes:
            return Outcome()
        if self._dataplane.is_slow(changes):
            return await self._offload(partial(self._dataplane.apply, changes))
        return self._dataplane.apply(changes)

    async def _resync(self, reason: SyncReason, started: float) -> SyncResult:
        """Bring all of the kernel's state to the desired one. An audit looks for what others did: changes go on waiting."""
        keep = self._kept(reason)
        wanted = await self._offload(partial(everything, self._cluster.snapshot(), self._programmed, keep))
        selected_s = self._clock.monotonic() - started
        outcome = await self._offload(partial(self._dataplane.resync, self._settings, wanted.ports()))
        await self._settle(self._settlement.settle_all(wanted, outcome.refused))
        repaired = self._repaired(reason, outcome)
        self._suspicious = False
        self._schedule.completed(reason, started, self._clock.monotonic(), repaired=bool(repaired))
        return self._result(reason, started, outcome, selected_s, repaired=repaired)

    async def _settle(self, portions: Iterable[list[Refusal]]) -> None:
        """Take the result over; between two portions the event loop does what is due."""
        for number, faults in enumerate(portions):
            if number:
                await asyncio.sleep(0)
            for fault in faults:
                _log.error("Service set aside", service=str(fault.service), reason=fault.reason, exception=fault.trace)

    def _kept(self, reason: SyncReason) -> frozenset[ServiceName]:
        """The Services that a full sync leaves as they are; the changes of all others are part of it."""
        if reason.is_audit:
            return frozenset(self._cluster.pending)
        self._cluster.pending.take()
        return frozenset()

    def _repaired(self, reason: SyncReason, outcome: Outcome) -> str:
        if not outcome.operations or not (self._suspicious or reason is SyncReason.PERIOD):
            return ""
        return outcome.repaired or f"{outcome.operations} kernel objects"

    def _delays_s(self, pending: Mapping[ServiceName, Mapping[Family, float]]) -> tuple[tuple[Family, float], ...]:
        wall = self._clock.wall()
        return tuple((family, wall - at) for triggered_at in pending.values() for family, at in triggered_at.items())

    def _result(
        self,
        reason: SyncReason,
        started: float,
        outcome: Outcome,
        selected_s: float,
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
            refused=self._rejections.all(),
            stages_s={"select": selected_s, **outcome.took_s},
            delays_s=delays_s,
            rules=outcome.rules,
            services=self._cluster.services,
            ports=self._programmed.ports,
            endpoints=self._programmed.endpoints,
            unrecorded=outcome.unrecorded,
            unscheduled=outcome.unscheduled,
            probed=outcome.probed,
            configured=not self._schedule.requested,
        )

    def _failed(self, reason: SyncReason, started: float, error: Exception) -> None:
        now, wait_s = self._clock.monotonic(), self._backoff.wait_s()
        self._suspicious |= isinstance(error, ConflictError)
        self._schedule.failed(reason, now, wait_s)
        _log.error("sync failed", reason=reason.value, error=str(error), retry_in_s=round(wait_s, 2))
        refused, services = self._rejections.all(), self._cluster.services
        self._tell(SyncResult(reason, self._clock.wall(), now - started, refused=refused, services=services, error=str(error)))
