"""A runner and a mode at work: a start, changes, an audit and the removal, with what they leave of the event loop meanwhile."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from functools import partial
from typing import NoReturn

from tests.kernel.nftables.examples import SETTINGS
from tests.support.polling import soon
from tests.unit.agent.examples import NODE, piece, ready, service

from proxyconfig_agent.dataplane.port import ModeInstance
from proxyconfig_agent.ingest.model import EndpointSlice
from proxyconfig_agent.report.metrics import eventloop
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.programmed import Programmed
from proxyconfig_agent.sync.result import SyncReason, SyncResult
from proxyconfig_agent.sync.runner import Runner
from proxyconfig_agent.sync.schedule import SyncIntervals
from proxyconfig_agent.sync.worker import in_thread
from proxyconfig_client.process.backoff import Backoff
from proxyconfig_client.process.clock import Clock

BEAT_S = 0.005
WITHIN_S = 120.0
LONGEST_S = 0.1
"""Of CPU time, `patience` times: a kernel that runs as a process counts it in ticks of 10 ms, whoever has the processor then."""


@dataclass
class Observed:
    """Seconds, all of them."""

    told: list[SyncResult] = field(default_factory=list)
    delays_s: list[float] = field(default_factory=list)
    """As the agent's metric has them."""
    works_s: list[float] = field(default_factory=list)
    """CPU time of the event loop's own thread from one beat to the next: others may use the machine, too."""

    @property
    def longest_work_s(self) -> float:
        """But for two: a virtual machine that is halted for a moment takes that for work."""
        return sorted(self.works_s)[-3]

    def __str__(self) -> str:
        return f"longest turn {self.longest_work_s * 1000:.1f} ms of CPU time, longest delay {max(self.delays_s) * 1000:.1f} ms"

    @property
    def outcomes(self) -> list[tuple[SyncReason, str]]:
        return [(sync.reason, sync.error) for sync in self.told]


EXPECTED = [(SyncReason.START, ""), (SyncReason.CHANGE, ""), (SyncReason.CHANGE, ""), (SyncReason.PERIOD, "")]


def cluster(services: int) -> ClusterState:
    """Services of 10 endpoints each."""
    made = ClusterState(NODE)
    for number in range(services):
        made.put_service(service(f"s{number}", f"10.96.{number // 250}.{number % 250 + 1}"))
        made.put_slice(endpoints(number))
    return made


def endpoints(number: int, first: int = 1) -> EndpointSlice:
    addresses = ((f"10.{100 + number // 250}.{number % 250}.{first + each}", ready()) for each in range(10))
    return piece(*addresses, of=f"s{number}", name=f"s{number}-1")


def observe(dataplane: ModeInstance, services: int) -> Observed:
    """A start, a change of one Service, a change of many, an audit, and the removal."""
    seen = Observed()
    eventloop.run(partial(_work, seen, dataplane, services))
    return seen


async def _work(seen: Observed, dataplane: ModeInstance, services: int, turns: eventloop.Turns) -> None:
    turns.observe, state = seen.delays_s.append, cluster(services)
    intervals, clock = SyncIntervals(poll_s=0), Clock()
    runner = Runner(state, Programmed(), dataplane, SETTINGS, seen.told.append, intervals=intervals, clock=clock, backoff=Backoff())
    works = (_beat(seen.works_s), runner.run())
    tasks = [asyncio.create_task(work) for work in works]
    await soon(lambda: len(seen.told) == 1, WITHIN_S)
    for changed, first in ((range(3, 4), 21), (range(services // 2), 41)):
        before = len(seen.told)
        for number in changed:
            state.put_slice(endpoints(number, first))
            await asyncio.sleep(0)
        runner.wake()
        await soon(partial(_more, seen.told, before), WITHIN_S)
    runner.resync(SyncReason.PERIOD)
    await soon(lambda: len(seen.told) == len(EXPECTED), WITHIN_S)
    tasks[-1].cancel()
    await asyncio.wait(tasks[-1:])
    await in_thread(dataplane.remove)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def _more(told: list[SyncResult], before: int) -> bool:
    return len(told) > before


async def _beat(works_s: list[float]) -> NoReturn:
    while True:
        before_s = time.thread_time()
        await asyncio.sleep(BEAT_S)
        works_s.append(time.thread_time() - before_s)
