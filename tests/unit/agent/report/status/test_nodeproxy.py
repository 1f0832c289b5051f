"""The status that is written, and how seldom."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from msgspec.structs import replace
from tests.support import virtualtime
from tests.support.clock import START_S, FakeClock

from proxyconfig_agent.dataplane.port import Refusal
from proxyconfig_agent.ingest.model import ServiceName
from proxyconfig_agent.report.status.conditions import Drift, NodeState
from proxyconfig_agent.report.status.nodeproxy import COUNTERS_S, Reporter, body_of, only_counters, status_of
from proxyconfig_agent.state.findings import Finding, Topic
from proxyconfig_api.objects.nodeproxy import ModeStatus, Module, ModuleState, NodeProxy, NodeProxyStatus
from proxyconfig_api.status.conditions import Condition, condition
from proxyconfig_client.connection.errors import ApiError
from proxyconfig_client.process.clock import Clock

MODE = ModeStatus(desired="auto", effective="nftables", reason="FirstChoice", message="auto: nftables is the first choice")
STATE = NodeState(version="0.1.0", generation=3, revision="edge-1", mode=MODE, programmed=True, capabilities={"kernel": "6.1"})
BROKEN = replace(STATE, findings=(Finding(Topic.TRAFFIC, "KernelRefused", "no nft_numgen"),))


def test_a_status_is_what_the_api_reads_back() -> None:
    state = replace(
        STATE,
        services=2,
        endpoints=5,
        refused=(Refusal(ServiceName("a", "b"), "bad"),),
        modules=(
            Module(name="ip_vs", state=ModuleState.MISSING, message="CONFIG_IP_VS"),
            Module(name="nf_tables", state=ModuleState.LOADED),
        ),
        drift=Drift(1, START_S, "a chain"),
        removed_objects=0,
    )
    status = status_of(state, (), START_S)
    body = body_of("n1", status)
    assert NodeProxy.parse(body | {"spec": {"configName": "edge", "revisionName": "edge-1"}}).status == status
    assert body["status"]["drift"] == {"repairs": 1, "lastRepair": "2023-11-14T22:13:20Z", "what": "a chain"}
    assert body["status"]["removed"] == {"objects": 0}
    assert body["status"]["mode"]["effective"] == "nftables"
    assert body["status"]["modules"] == {
        "summary": "1 loaded, 1 missing",
        "items": [{"name": "ip_vs", "state": "Missing", "message": "CONFIG_IP_VS"}, {"name": "nf_tables", "state": "Loaded"}],
    }


def test_what_is_empty_is_left_out() -> None:
    body = body_of("n1", status_of(NodeState(version="0.1.0"), (), START_S))
    assert body["status"]["drift"] == {"repairs": 0}
    assert not {"removed", "observedRevision", "mode", "capabilities", "modules", "quarantined"} & set(body["status"])
    assert body["metadata"] == {"name": "n1"}


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    first = status_of(STATE, (), START_S)
    worse = status_of(BROKEN, first.conditions, START_S + 60)
    times = {each.type: each.last_transition_time.timestamp() - START_S for each in worse.conditions}
    assert times == {
        "Ready": 60,
        "Programmed": 60,
        "Connected": 0,
        "ConntrackConfigured": 0,
        "ModulesLoaded": 0,
        "SysctlsApplied": 0,
        "OtherProxyPresent": 0,
        "Degraded": 60,
    }


def test_counters_are_no_transition() -> None:
    old = status_of(STATE, (), START_S)
    assert only_counters(old, status_of(replace(STATE, services=9), old.conditions, START_S))
    assert not only_counters(old, status_of(replace(STATE, services=9, revision="edge-2"), old.conditions, START_S))


class Server:
    """Takes statuses; fails as often as told."""

    def __init__(self) -> None:
        self.written = asyncio.Queue[NodeProxyStatus]()
        self.failures = 0

    async def write(self, status: NodeProxyStatus) -> None:
        if self.failures:
            self.failures -= 1
            raise ApiError(503, "ServiceUnavailable", "etcd is away")
        self.written.put_nowait(status)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def server() -> Server:
    return Server()


@asynccontextmanager
async def running(reporter: Reporter) -> AsyncIterator[None]:
    task = asyncio.create_task(reporter.run())
    try:
        async with asyncio.timeout(60):
            yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def silent(server: Server) -> bool:
    """Whether nothing is written for a moment."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            await server.written.get()
        return False
    return True


async def test_the_first_state_is_written_at_once_and_a_transition_after_a_second(server: Server, clock: FakeClock) -> None:
    reporter = Reporter(server.write, clock.clock)
    async with running(reporter):
        reporter.tell(STATE)
        assert (await server.written.get()).services == 0
        reporter.tell(BROKEN)
        assert await silent(server)
        clock.advance(1)
        reporter.tell(replace(BROKEN, services=1))
        ready = condition((await server.written.get()).conditions, "Ready")
        assert ready is not None
        assert ready.reason == "KernelRefused"


async def test_a_reporter_ends_where_news_come_in_the_moment_in_which_it_is_cancelled(server: Server, clock: FakeClock) -> None:
    reporter = Reporter(server.write, clock.clock)
    task = asyncio.create_task(reporter.run())
    reporter.tell(STATE)
    await server.written.get()
    reporter.tell(BROKEN)
    assert await silent(server)  # waits for the second after the first write
    reporter.tell(STATE)
    task.cancel()
    await asyncio.wait([task], timeout=60)
    assert task.cancelled()


async def test_counters_alone_wait_for_their_second_of_the_minute(server: Server, clock: FakeClock) -> None:
    reporter = Reporter(server.write, clock.clock, chance=lambda: 0.0)
    async with running(reporter):
        reporter.tell(STATE)
        await server.written.get()
        for number in range(1, 50):
            clock.advance(1)
            reporter.tell(replace(STATE, endpoints=number))
        assert await silent(server)
        clock.advance(11)
        reporter.tell(replace(STATE, endpoints=50))
        assert (await server.written.get()).endpoints == 50


@pytest.mark.parametrize("jump_s", [-3600, -86400, 120, 86400])
async def test_a_clock_that_is_set_delays_no_transition(server: Server, clock: FakeClock, jump_s: float) -> None:
    reporter = Reporter(server.write, clock.clock)
    async with running(reporter):
        reporter.tell(STATE)
        await server.written.get()
        clock.set_wall(jump_s)
        clock.advance(1)
        reporter.tell(BROKEN)
        assert not condition_status(await server.written.get(), "Ready")


async def test_a_transition_does_not_wait_for_the_counters(server: Server, clock: FakeClock) -> None:
    reporter = Reporter(server.write, clock.clock)
    async with running(reporter):
        reporter.tell(STATE)
        await server.written.get()
        clock.advance(5)
        reporter.tell(replace(STATE, endpoints=1))
        assert await silent(server)
        reporter.tell(BROKEN)
        assert not condition_status(await server.written.get(), "Ready")


def condition_status(status: NodeProxyStatus, kind: str) -> bool:
    found = condition(status.conditions, kind)
    assert found is not None
    return found.status == "True"


NODES = 200


def test_one_new_service_in_a_quiet_cluster_is_no_burst_of_writes() -> None:
    """All nodes learn of it in the same moment, long after they have written last."""

    async def scenario(clock: Clock) -> list[float]:
        written: list[float] = []

        async def write(status: NodeProxyStatus) -> None:
            if status.services:
                written.append(clock.monotonic())

        reporters = [Reporter(write, clock, chance=random.Random(node).random) for node in range(NODES)]
        tasks = [asyncio.create_task(reporter.run()) for reporter in reporters]
        for services in (0, 1):
            for reporter in reporters:
                reporter.tell(replace(STATE, services=services))
            await asyncio.sleep(3600)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return [at - 3600 for at in written]

    written = virtualtime.run(scenario)
    assert len(written) == NODES
    assert max(written) <= COUNTERS_S
    assert max(Counter(int(at) for at in written).values()) <= 4 * NODES / COUNTERS_S


def test_counters_under_churn_are_written_once_a_minute() -> None:
    async def scenario(clock: Clock) -> int:
        written = 0

        async def write(_: NodeProxyStatus) -> None:
            nonlocal written
            written += 1

        reporter = Reporter(write, clock)
        task = asyncio.create_task(reporter.run())
        for services in range(3600):
            reporter.tell(replace(STATE, services=services))
            await asyncio.sleep(1)
        task.cancel()
        return written

    assert virtualtime.run(scenario) in (60, 61)


async def test_what_is_as_it_was_is_not_written(server: Server, clock: FakeClock) -> None:
    reporter = Reporter(server.write, clock.clock)
    async with running(reporter):
        reporter.tell(STATE)
        await server.written.get()
        clock.advance(3600)
        reporter.tell(replace(STATE))
        reporter.tell(BROKEN)
        reporter.tell(STATE)
        assert await silent(server)


async def test_a_failed_write_is_tried_again_with_the_newest_state(server: Server, clock: FakeClock) -> None:
    server.failures = 1
    reporter = Reporter(server.write, clock.clock)
    async with running(reporter):
        reporter.tell(STATE)
        await asyncio.sleep(0)
        reporter.tell(BROKEN)
        assert not condition_status(await server.written.get(), "Ready")


async def test_a_new_object_is_told_everything_again_and_at_once(server: Server, clock: FakeClock) -> None:
    reporter = Reporter(server.write, clock.clock)
    async with running(reporter):
        reporter.tell(STATE)
        first = await server.written.get()
        server.failures = 1_000_000
        clock.advance(1)
        reporter.tell(BROKEN)
        await asyncio.sleep(0.01)  # the object is gone, and the pauses grow
        server.failures = 0
        reporter.tell(STATE)
        reporter.again()
        assert await server.written.get() == first


async def test_a_status_is_current_only_while_the_api_server_takes_it(server: Server, clock: FakeClock) -> None:
    reporter = Reporter(server.write, clock.clock)
    reporter.tell(STATE)
    current = [reporter.is_current]
    for state, failures in ((STATE, 0), (BROKEN, 1), (BROKEN, 0)):
        server.failures = failures
        reporter.tell(state)
        await reporter.flush()
        current.append(reporter.is_current)
    reporter.again()
    assert [*current, reporter.is_current] == [False, True, False, True, False]


async def test_flush_writes_now_and_tells_whether_it_could(server: Server, clock: FakeClock) -> None:
    reporter = Reporter(server.write, clock.clock)
    assert await reporter.flush()
    reporter.tell(STATE)
    server.failures = 1
    assert not await reporter.flush()
    assert await reporter.flush()
    assert server.written.qsize() == 1


@pytest.mark.parametrize("before", [(), status_of(STATE, (), START_S - 3600).conditions], ids=["first", "restarted"])
async def test_an_agent_that_has_synced_nothing_is_not_ready_whatever_an_earlier_one_said(
    server: Server, clock: FakeClock, before: tuple[Condition, ...]
) -> None:
    reporter = Reporter(server.write, clock.clock, before)
    reporter.tell(NodeState(version="0.1.0"))
    await reporter.flush()
    assert not condition_status(server.written.get_nowait(), "Ready")


async def test_the_times_of_an_earlier_agent_go_on(server: Server, clock: FakeClock) -> None:
    reporter = Reporter(server.write, clock.clock, status_of(STATE, (), START_S - 3600).conditions)
    reporter.tell(STATE)
    await reporter.flush()
    ready = condition(server.written.get_nowait().conditions, "Ready")
    assert ready is not None
    assert ready.last_transition_time.timestamp() == START_S - 3600
