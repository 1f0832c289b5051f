"""The event loop goes on while programs run: a first sync, a change and an audit in iptables mode."""

from __future__ import annotations

import asyncio

import pytest
from tests.kernel.iptables_port.conftest import Node
from tests.kernel.nftables.examples import SETTINGS
from tests.support.polling import soon
from tests.unit.agent.examples import NODE, piece, ready, service

from proxyconfig_agent.dataplane.iptables.iptables import Iptables
from proxyconfig_agent.ingest.model import EndpointSlice
from proxyconfig_agent.report.metrics import eventloop
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.programmed import Programmed
from proxyconfig_agent.sync.result import SyncReason, SyncResult
from proxyconfig_agent.sync.runner import Runner
from proxyconfig_agent.sync.schedule import SyncIntervals
from proxyconfig_client.backoff import Backoff
from proxyconfig_client.clock import Clock

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(300)]

SERVICES = 400
"""Of 10 endpoints each: about a second of iptables-restore."""


def cluster() -> ClusterState:
    made = ClusterState(NODE)
    for number in range(SERVICES):
        made.put_service(service(f"s{number}", f"10.96.{number // 250}.{number % 250 + 1}"))
        made.put_slice(endpoints(number))
    return made


def endpoints(number: int, first: int = 1) -> EndpointSlice:
    addresses = ((f"10.{100 + number // 250}.{number % 250}.{first + each}", ready()) for each in range(10))
    return piece(*addresses, of=f"s{number}", name=f"s{number}-1")


async def delayed(tables: Iptables) -> tuple[list[SyncResult], list[float]]:
    """A start, a change and an audit; the delays of the event loop meanwhile."""
    state, told, delays_s = cluster(), list[SyncResult](), list[float]()
    intervals, clock = SyncIntervals(poll_s=0), Clock()
    runner = Runner(state, Programmed(), tables, SETTINGS, told.append, intervals=intervals, clock=clock, backoff=Backoff())
    tasks = [asyncio.create_task(work) for work in (eventloop.measure(delays_s.append), runner.run())]
    await soon(lambda: len(told) == 1)
    state.put_slice(endpoints(3, first=21))
    runner.wake()
    await soon(lambda: len(told) == 2)
    runner.resync(SyncReason.PERIOD)
    await soon(lambda: len(told) == 3)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return told, delays_s


def test_the_event_loop_goes_on_while_programs_run(node: Node) -> None:
    tables = node.space.call(Iptables)
    try:
        told, delays_s = node.space.call(lambda: asyncio.run(delayed(tables)))
    finally:
        node.space.call(tables.remove)
        tables.close()
    assert [(sync.reason, sync.error) for sync in told] == [(SyncReason.START, ""), (SyncReason.CHANGE, ""), (SyncReason.PERIOD, "")]
    assert max(delays_s) < told[0].took_s / 2
