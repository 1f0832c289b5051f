"""The agent is killed in the middle of its work: no Service is harmed, and the next agent programs the desired state."""

from __future__ import annotations

import contextlib

import pytest
from tests.kernel.faults.agent import Agent
from tests.kernel.faults.conftest import Web
from tests.kernel.traffic.apiserver import Cluster
from tests.kernel.traffic.clusterobjects import many_services
from tests.kernel.traffic.inprocess import Pipeline
from tests.support.netns.topology import Topology
from tests.support.polling import eventually
from tests.support.scenarios.configs import CONFIGS

from proxyconfig_agent.dataplane.nftables.nftables import Nftables
from proxyconfig_agent.netlink.nftables.connection import Connection

pytestmark = [pytest.mark.kernel, pytest.mark.apiserver, pytest.mark.timeout(300)]

SERVICES = 200
TIMES = 5


def _differences(world: Topology, cluster: Cluster) -> int:
    """What a fresh pipeline would change in the kernel."""
    with contextlib.closing(world.node.call(Nftables)) as dataplane:
        pipeline = Pipeline(world, dataplane, CONFIGS["default"])
        pipeline.apply(cluster.writer.everything())
        return pipeline.syncs[0].operations


def test_killed_in_its_first_sync(agent: Agent, world: Topology, api_cluster: Cluster, web: Web) -> None:
    api_cluster.put({**many_services(SERVICES), **web.objects})
    with contextlib.closing(world.node.call(Connection)) as kernel:
        for _ in range(TIMES):
            world.node.run("nft", "flush", "ruleset")
            empty = kernel.generation()
            with agent.running():
                # Not later: its next transactions are still to come.
                eventually(lambda was=empty: kernel.generation() != was, within_s=60, every_s=0.001)  # type: ignore[misc]
    with agent.running():
        agent.serves()
        eventually(lambda: _differences(world, api_cluster), within_s=60, until=lambda count: count == 0)
        assert web.served()


def test_killed_again_and_again_while_services_change(agent: Agent, world: Topology, api_cluster: Cluster, web: Web) -> None:
    with agent.running():
        agent.serves()
    web.begin(for_s=8)
    for round_ in range(TIMES):
        agent.start()
        api_cluster.put({**many_services(20, first_endpoint=20 + round_), **web.objects})
        agent.kill()
    attempts, lost = web.lost()
    assert not lost
    assert attempts > 100
    with agent.running():
        agent.serves()
        eventually(lambda: _differences(world, api_cluster), within_s=60, until=lambda count: count == 0)
