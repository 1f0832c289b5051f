"""When programming may begin: with complete lists, or with a checkpoint while the API server is silent; in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.support import virtualtime
from tests.unit.agent.examples import NODE, ip, service

from proxyconfig_agent.controller.inputs.readiness import CIDRS_WITHIN_S, CacheReadiness
from proxyconfig_agent.ingest.model import Network, NodeName
from proxyconfig_agent.report.http.health import Health
from proxyconfig_agent.report.metrics.metrics import Metrics
from proxyconfig_agent.report.recorder import StatusRecorder
from proxyconfig_agent.state.checkpoint import FORMAT, CheckpointFile, Header, order_of
from proxyconfig_agent.state.checkpoint_loader import SILENCE_S, Checkpointer
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.watch.desired import Desired
from proxyconfig_agent.watch.informers import Informers
from proxyconfig_api.spec.sections import Mode, ProxyConfigSpec
from proxyconfig_client.apiserver.client import ApiClient
from proxyconfig_client.connection.config import ClientConfig
from proxyconfig_client.process.clock import Clock

DESIRED = Desired(ProxyConfigSpec(mode=Mode.NFTABLES), 3, "x-3", uid="u")
CIDRS = (Network(ip("10.96.0.0"), 16),)
LISTS = ("services", "slices", "node")
LOADING_S = 2.0


class Agent:
    """A readiness with what is around it. `allows`: whether a checkpoint may be used, which takes `answers_after_s` to tell."""

    def __init__(self, folder: Path, clock: Clock, *, checkpoints: bool = True, allows: bool = True, answers_after_s: float = 0.0) -> None:
        self.cluster = ClusterState(NODE)
        self.informers = Informers(ApiClient(ClientConfig(server="http://127.0.0.1:1"), user_agent="test"), self.cluster)
        self.recorder = StatusRecorder(self.cluster, Metrics("1", ""), Health(clock), "1", clock)
        self.file = CheckpointFile(folder, "here")
        self.changes = 0
        self.asked: list[Desired] = []
        self._allows, self._answers_after_s = allows, answers_after_s
        checkpointer = Checkpointer(self.file, self.cluster, clock.wall) if checkpoints else None
        self.readiness = CacheReadiness(self.informers, self.cluster, self.recorder, checkpointer, self._changed)

    @property
    def reasons(self) -> list[str]:
        return [finding.reason for finding in self.recorder.state.findings]

    def answer(self, *lists: str) -> None:
        """The API server answers these lists."""
        for name in lists:
            getattr(self.informers, name).synced.set()

    async def may_use(self, desired: Desired) -> bool:
        self.asked.append(desired)
        await asyncio.sleep(self._answers_after_s)
        return self._allows

    def _changed(self) -> None:
        self.changes += 1


@contextlib.asynccontextmanager
async def running(agent: Agent) -> AsyncIterator[Agent]:
    task = asyncio.create_task(agent.readiness.run(agent.may_use))
    try:
        yield agent
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def remember(folder: Path, *, of: str = "here") -> None:
    """Leave a checkpoint of one Service."""
    order = order_of(DESIRED.spec, DESIRED.generation, DESIRED.revision, DESIRED.uid)
    node = replace(NODE, name=NodeName(of))
    CheckpointFile(folder, "here").save(Header(FORMAT, 17.0, order, node, CIDRS, 1, 0), [service()], [])


def test_complete_lists_are_enough_and_the_controller_is_called_once(tmp_path: Path) -> None:
    async def scenario(clock: Clock) -> tuple[bool, int]:
        async with running(Agent(tmp_path, clock, checkpoints=False)) as agent:
            agent.answer(*LISTS, "cidrs")
            await asyncio.sleep(0.1)
            return agent.readiness.complete, agent.changes

    assert virtualtime.run(scenario) == (True, 1)


@pytest.mark.parametrize("missing", LISTS)
def test_one_list_that_is_missing_holds_programming_back(missing: str, tmp_path: Path) -> None:
    async def scenario(clock: Clock) -> tuple[bool, int]:
        async with running(Agent(tmp_path, clock)) as agent:
            agent.answer(*(name for name in LISTS if name != missing), "cidrs")
            await asyncio.sleep(3600)
            return agent.readiness.complete, agent.changes

    assert virtualtime.run(scenario) == (False, 0)


def test_lists_without_service_cidrs_are_waited_for_a_moment_only(tmp_path: Path) -> None:
    async def scenario(clock: Clock) -> tuple[bool, bool]:
        async with running(Agent(tmp_path, clock)) as agent:
            agent.answer(*LISTS)
            await asyncio.sleep(CIDRS_WITHIN_S - 0.1)
            early = agent.readiness.complete
            await asyncio.sleep(0.2)
            return early, agent.readiness.complete

    assert virtualtime.run(scenario) == (False, True)


def test_a_silent_api_server_has_the_checkpoint_served_and_a_finding_says_so(tmp_path: Path) -> None:
    remember(tmp_path)

    async def scenario(clock: Clock) -> None:
        async with running(Agent(tmp_path, clock)) as agent:
            await asyncio.sleep(SILENCE_S - 0.1)
            assert (agent.readiness.complete, agent.cluster.services) == (False, 0)
            await asyncio.sleep(0.2)
            assert (agent.readiness.complete, agent.cluster.services, agent.changes) == (True, 1, 1)
            assert agent.asked == [DESIRED]
            assert agent.reasons == ["ServingFromCheckpoint"]
            assert agent.readiness.service_cidrs() == CIDRS

    virtualtime.run(scenario)


def test_the_finding_is_taken_back_when_the_api_server_has_listed_everything(tmp_path: Path) -> None:
    remember(tmp_path)

    async def scenario(clock: Clock) -> tuple[list[str], int]:
        async with running(Agent(tmp_path, clock)) as agent:
            await asyncio.sleep(SILENCE_S + 1)
            agent.answer(*LISTS, "cidrs")
            await asyncio.sleep(1)
            return agent.reasons, agent.changes

    assert virtualtime.run(scenario) == ([], 2)


def test_an_api_server_that_has_answered_leaves_the_checkpoint_unused(tmp_path: Path) -> None:
    remember(tmp_path)

    async def scenario(clock: Clock) -> tuple[int, int]:
        async with running(Agent(tmp_path, clock)) as agent:
            agent.answer(*LISTS, "cidrs")
            await asyncio.sleep(SILENCE_S + 60)
            return len(agent.asked), agent.cluster.services

    assert virtualtime.run(scenario) == (0, 0)


def test_lists_that_are_complete_while_the_checkpoint_is_considered_leave_it_unused(tmp_path: Path) -> None:
    remember(tmp_path)

    async def scenario(clock: Clock) -> tuple[list[str], int]:
        async with running(Agent(tmp_path, clock, answers_after_s=LOADING_S)) as agent:
            await asyncio.sleep(SILENCE_S + LOADING_S / 2)
            assert agent.asked
            agent.answer(*LISTS, "cidrs")
            await asyncio.sleep(60)
            return agent.reasons, agent.cluster.services

    assert virtualtime.run(scenario) == ([], 0)


def test_a_service_that_the_list_lacks_does_not_come_back_from_the_checkpoint(tmp_path: Path) -> None:
    remember(tmp_path)

    async def scenario(clock: Clock) -> tuple[bool, int, str]:
        async with running(Agent(tmp_path, clock)) as agent:
            agent.cluster.put_node(replace(NODE, zone="b"))
            agent.answer("services", "node")
            await asyncio.sleep(SILENCE_S + 1)
            return agent.readiness.complete, agent.cluster.services, agent.cluster.node.zone

    assert virtualtime.run(scenario) == (True, 0, "b")


def test_a_checkpoint_that_may_not_be_used_leaves_the_agent_waiting(tmp_path: Path) -> None:
    remember(tmp_path)

    async def scenario(clock: Clock) -> tuple[bool, int, list[str]]:
        async with running(Agent(tmp_path, clock, allows=False)) as agent:
            await asyncio.sleep(SILENCE_S + 60)
            return agent.readiness.complete, agent.cluster.services, agent.reasons

    assert virtualtime.run(scenario) == (False, 0, [])


def test_a_checkpoint_of_another_node_is_not_used(tmp_path: Path) -> None:
    remember(tmp_path, of="elsewhere")

    async def scenario(clock: Clock) -> tuple[int, bool]:
        async with running(Agent(tmp_path, clock)) as agent:
            await asyncio.sleep(SILENCE_S + 60)
            return len(agent.asked), agent.readiness.complete

    assert virtualtime.run(scenario) == (0, False)


def test_what_the_kernel_has_is_kept_for_the_next_boot_until_the_proxy_is_removed(tmp_path: Path) -> None:
    async def scenario(clock: Clock) -> None:
        agent = Agent(tmp_path, clock)
        agent.cluster.put_service(service())
        agent.readiness.note(DESIRED)
        agent.readiness.save()
        kept = agent.file.load()
        assert kept is not None
        assert (kept.heading.order.generation, kept.heading.order.uid, len(kept.services)) == (3, "u", 1)
        agent.readiness.discard()
        agent.readiness.save()
        assert agent.file.load() is None

    virtualtime.run(scenario)


def test_a_node_without_a_checkpoint_keeps_nothing(tmp_path: Path) -> None:
    async def scenario(clock: Clock) -> None:
        agent = Agent(tmp_path, clock, checkpoints=False)
        agent.readiness.note(DESIRED)
        agent.readiness.save()
        agent.readiness.discard()

    virtualtime.run(scenario)
    assert list(tmp_path.iterdir()) == []
