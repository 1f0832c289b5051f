"""What the benchmark reads of IPVS, through other calls of the kernel than the agent's own."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing

from tests.bench.ipvs import Arrivals, VirtualServers, is_there
from tests.bench.nftables import word_of
from tests.kernel.nftables.examples import SETTINGS
from tests.kernels.conftest import Start
from tests.kernels.node import Node
from tests.unit.agent.dataplane.nftables.frontends import frontends

from proxyconfig_agent.dataplane.ipvs.ipvs import Ipvs
from proxyconfig_agent.dataplane.port import Change

WEB = frontends(cluster=("10.244.0.1:8080", "10.244.1.1:8080"))
EMPTY = frontends("empty", "10.96.0.11")


def test_the_benchmark_finds_virtual_servers_with_destinations_and_the_destinations(node: Node, start: Start) -> None:
    assert is_there()
    start(Ipvs).resync(SETTINGS, [WEB, EMPTY])
    with closing(VirtualServers(node.space.name)) as servers:
        assert servers.words() == {word_of(address) for address in ("10.96.0.10", "10.244.0.1", "10.244.1.1")}
        assert servers.destinations(word_of("10.96.0.99"), socket.htons(80)) == set()


def test_the_benchmark_sees_a_destination_arrive(node: Node, start: Start) -> None:
    dataplane = start(Ipvs)
    dataplane.resync(SETTINGS, [WEB])

    async def seen() -> float:
        with closing(Arrivals(node.space.name)) as arrivals:
            arrival = arrivals.arrival("10.244.1.2", "10.96.0.10")
            await asyncio.sleep(0)
            assert not arrival.done()
            dataplane.apply([Change(WEB, frontends(cluster=("10.244.0.1:8080", "10.244.1.2:8080")))])
            async with asyncio.timeout(60):
                return await arrival

    assert asyncio.run(seen()) > 0
