"""Long work runs beside the event loop: what happens meanwhile is not lost, and nobody goes on before it has ended."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterable, Iterator

import pytest
from tests.support.polling import soon
from tests.unit.agent.dataplane.fakedataplane import FakeDataplane
from tests.unit.agent.examples import NODE, piece, ready, service

from proxyconfig_agent.dataplane.port import Change, Outcome, Settings
from proxyconfig_agent.select.frontends import Frontends
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.programmed import Programmed
from proxyconfig_agent.sync.result import SyncReason, SyncResult
from proxyconfig_agent.sync.runner import Runner
from proxyconfig_agent.sync.schedule import SyncIntervals
from proxyconfig_agent.sync.worker import in_thread
from proxyconfig_client.process.backoff import Backoff
from proxyconfig_client.process.clock import Clock


class Held(FakeDataplane):
    """Calls do not return before they are let."""

    def __init__(self) -> None:
        super().__init__()
        self.slow = True
        self.held = threading.Event()
        self.go_on = threading.Semaphore(0)
        self.polled = 0

    def resync(self, settings: Settings, wanted: Iterable[Frontends]) -> Outcome:
        with self._holding():
            return super().resync(settings, wanted)

    def apply(self, changes: Iterable[Change]) -> Outcome:
        with self._holding():
            return super().apply(changes)

    def disturbed(self) -> bool:
        with self._holding():
            self.polled += 1
            return super().disturbed()

    @contextlib.contextmanager
    def _holding(self) -> Iterator[None]:
        self.held.set()
        assert self.go_on.acquire(timeout=30)
        self.held.clear()
        yield


class Rig:
    def __init__(self, poll_s: float = 0) -> None:
        self.cluster, self.programmed, self.dataplane, self.told = ClusterState(NODE), Programmed(), Held(), list[SyncResult]()
        tell, clock, intervals = self.told.append, Clock(), SyncIntervals(poll_s=poll_s)
        self.runner = Runner(
            self.cluster, self.programmed, self.dataplane, Settings(), tell, intervals=intervals, clock=clock, backoff=Backoff()
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.runner.run())
        try:
            yield
        finally:
            self.dataplane.go_on.release(10)
            task.cancel()
            await asyncio.wait([task])


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def held(rig: Rig) -> None:
    await soon(rig.dataplane.held.is_set)


async def ended(rig: Rig, syncs: int) -> None:
    rig.dataplane.go_on.release()
    await soon(lambda: len(rig.told) == syncs)


async def test_what_changes_during_a_sync_is_programmed_by_the_next_one(rig: Rig) -> None:
    rig.cluster.put_service(service())
    async with rig.running():
        await held(rig)
        rig.cluster.put_slice(piece(("10.0.0.1", ready())))
        rig.runner.wake()
        await ended(rig, 1)
        assert rig.told[-1].endpoints == 0
        await held(rig)
        rig.cluster.put_slice(piece(("10.0.0.1", ready()), ("10.0.0.2", ready())))
        rig.runner.wake()
        await ended(rig, 2)
        await ended(rig, 3)
    assert [(sync.reason, sync.endpoints) for sync in rig.told] == [
        (SyncReason.START, 0),
        (SyncReason.CHANGE, 1),
        (SyncReason.CHANGE, 2),
    ]


async def test_the_event_loop_goes_on_while_a_poll_takes_away_what_has_drained() -> None:
    rig = Rig(poll_s=0.01)
    async with rig.running():
        await held(rig)
        await ended(rig, 1)
        await held(rig)
        assert rig.dataplane.calls == ["resync"]
        rig.dataplane.go_on.release()
        await soon(lambda: rig.dataplane.polled > 0)


async def test_settings_that_come_during_a_full_sync_are_not_in_effect_with_it(rig: Rig) -> None:
    async with rig.running():
        await held(rig)
        assert rig.runner.configure(Settings(), SyncIntervals(poll_s=0))
        assert rig.runner.configure(Settings(masquerade_all=True), SyncIntervals(poll_s=0))
        await ended(rig, 1)
        await ended(rig, 2)
    assert [(sync.reason, sync.configured) for sync in rig.told] == [(SyncReason.START, False), (SyncReason.SETTINGS, True)]
    assert rig.dataplane.settings.masquerade_all


async def test_a_runner_that_is_cancelled_ends_after_what_its_thread_does(rig: Rig) -> None:
    task = asyncio.create_task(rig.runner.run())
    await held(rig)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    rig.dataplane.go_on.release()
    await asyncio.wait([task])
    assert task.cancelled()
    assert rig.dataplane.calls == ["resync"]


async def test_an_error_of_the_thread_is_raised_where_it_is_awaited() -> None:
    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await in_thread(fail)
