"""Which events become Events, when, and how many of them."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable

from tests.support.polling import soon
from tests.unit.client.fakeserver import FakeServer, served

from proxyconfig_agent.ingest.model import ServiceName
from proxyconfig_agent.report.events.events import NodeEvent
from proxyconfig_agent.report.events.poster import WAITING, EventPoster
from proxyconfig_client.apiserver.client import ApiClient
from proxyconfig_client.apiserver.events import Events

BAD = NodeEvent(ServiceName("shop", "web"), "Quarantined", "Programming", "spec.externalIPs: 'x' is not an IP address")
NODES = 300
SPREAD_S = 2.0


@contextlib.asynccontextmanager
async def posters(
    connection: ApiClient, count: int, holds: Callable[[NodeEvent], bool] = lambda _: True, spread_s: float = SPREAD_S
) -> AsyncIterator[list[EventPoster]]:
    """The posters of so many nodes."""
    made = [EventPoster(lambda _: "uid-1", holds, spread_s=spread_s, chance=random.Random(node).random) for node in range(count)]
    tasks = [asyncio.create_task(each.run(Events(connection, "agent", f"node-{node}"), f"node-{node}")) for node, each in enumerate(made)]
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_bad_service_is_one_event_however_many_nodes_see_it() -> None:
    server = FakeServer()
    async with served(server) as connection, posters(connection, NODES) as nodes:
        started = time.monotonic()
        for node in nodes:
            node.announce(BAD)
        await soon(lambda: server.created)
        there_s = time.monotonic() - started
        await soon(lambda: len(server.requests) == NODES)
    (event,) = server.created.values()
    assert event["regarding"] == {"apiVersion": "v1", "kind": "Service", "name": "web", "namespace": "shop", "uid": "uid-1"}
    assert (event["reason"], event["type"], event["note"]) == ("Quarantined", "Warning", BAD.note)
    early = sum(SPREAD_S * random.Random(node).random() <= there_s for node in range(NODES))
    assert len(server.bodies) <= early  # attempts by those whose turn came in the moment before it was there


async def test_what_is_over_before_its_turn_is_not_told() -> None:
    server = FakeServer()
    async with served(server) as connection, posters(connection, 1, holds=lambda _: False, spread_s=0) as (node,):
        node.announce(BAD)
        node.announce(NodeEvent(None, "DriftRepaired", "Repairing", "1 chain"))
        await soon(lambda: len(server.bodies) == 1)
        assert server.bodies[0][2]["regarding"] == {"apiVersion": "v1", "kind": "Node", "name": "node-0", "uid": "node-0"}
    assert server.requests == []


async def test_a_flood_of_events_is_cut() -> None:
    poster = EventPoster(lambda _: "", lambda _: True)
    poster.announce(*[BAD] * (10 * WAITING))
    assert poster.room == 0
