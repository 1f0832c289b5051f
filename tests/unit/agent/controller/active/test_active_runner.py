"""The runner between the controller's steps: what it is given, what is in effect, and its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from msgspec.structs import replace
from tests.support.polling import soon
from tests.unit.agent.dataplane.fakedataplane import FakeDataplane
from tests.unit.agent.examples import NODE, service

from proxyconfig_agent.controller.active.active_runner import ActiveRunner
from proxyconfig_agent.controller.step import Plan
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.programmed import Programmed
from proxyconfig_agent.sync.result import SyncResult
from proxyconfig_agent.sync.schedule import SyncIntervals
from proxyconfig_agent.watch.desired import Desired
from proxyconfig_api.spec.sections import ProxyConfigSpec

FIRST = Plan(Desired(ProxyConfigSpec(), 1, "x-1"), Settings(), SyncIntervals(), (), ())
SAME_RULES = replace(FIRST, desired=Desired(ProxyConfigSpec(), 2, "x-2"))
OTHER_RULES = replace(FIRST, desired=Desired(ProxyConfigSpec(), 3, "x-3"), settings=Settings(masquerade_all=True))


class Rig:
    def __init__(self) -> None:
        self.cluster, self.dataplane = ClusterState(NODE), FakeDataplane()
        self.cluster.put_service(service())
        self.syncs: list[SyncResult] = []
        self.applied: list[Desired] = []
        self.runner = ActiveRunner(self.cluster, Programmed(), self._synced)

    def _synced(self, sync: SyncResult, applied: Desired | None) -> None:
        self.syncs.append(sync)
        if applied is not None:
            self.applied.append(applied)

    @contextlib.asynccontextmanager
    async def running(self, plan: Plan = FIRST) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            self.runner.start(plan, self.dataplane, group)
            try:
                yield
            finally:
                await self.runner.stop()


async def test_the_first_sync_puts_the_plan_into_effect_and_later_ones_nothing_new() -> None:
    rig = Rig()
    async with rig.running():
        await soon(lambda: rig.syncs, within_s=60)
        assert (rig.applied, rig.runner.plan) == ([FIRST.desired], FIRST)
        rig.cluster.put_service(service("other", "10.96.0.11"))
        assert rig.runner.wake()
        await soon(lambda: len(rig.syncs) > 1, within_s=60)
    assert rig.applied == [FIRST.desired]
    assert len(rig.dataplane.state) == 2


async def test_a_failed_sync_puts_nothing_into_effect_and_the_next_good_one_does() -> None:
    rig = Rig()
    rig.dataplane.failure = 1.0
    async with rig.running():
        await soon(lambda: rig.syncs, within_s=60)
        assert rig.applied == []
        rig.dataplane.failure = 0.0
        await soon(lambda: rig.applied, within_s=60)
    assert rig.applied == [FIRST.desired]


async def test_a_plan_with_the_same_rules_is_in_effect_at_once() -> None:
    rig = Rig()
    async with rig.running():
        await soon(lambda: rig.syncs, within_s=60)
        assert rig.runner.reconfigure(SAME_RULES)
        assert rig.runner.plan == SAME_RULES
        rig.cluster.put_service(service("other", "10.96.0.11"))
        rig.runner.wake()
        await soon(lambda: len(rig.syncs) > 1, within_s=60)
    assert rig.applied == [FIRST.desired], "the next sync does not put it into effect again"


async def test_a_plan_with_other_rules_is_in_effect_after_a_sync() -> None:
    rig = Rig()
    async with rig.running():
        await soon(lambda: rig.syncs, within_s=60)
        assert not rig.runner.reconfigure(OTHER_RULES)
        await soon(lambda: len(rig.applied) > 1, within_s=60)
    assert rig.applied == [FIRST.desired, OTHER_RULES.desired]
    assert rig.dataplane.settings == OTHER_RULES.settings


async def test_a_runner_that_has_nothing_to_do_is_not_woken() -> None:
    rig = Rig()
    assert not rig.runner.wake(), "there is none"
    async with rig.running():
        await soon(lambda: rig.syncs, within_s=60)
        assert not rig.runner.wake(), "nothing is pending"


async def test_the_rules_stay_when_the_runner_stops_and_another_one_starts_with_a_full_sync() -> None:
    rig = Rig()
    async with rig.running():
        await soon(lambda: rig.syncs, within_s=60)
    assert rig.runner.plan is None
    assert len(rig.dataplane.state) == 1
    async with rig.running(OTHER_RULES):
        await soon(lambda: len(rig.applied) > 1, within_s=60)
    assert rig.dataplane.calls == ["resync", "resync"]
    await rig.runner.stop()
