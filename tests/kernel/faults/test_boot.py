"""The node boots while the API server is away: it comes back with what it last knew, and catches up later (T18)."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cluster.controlplane import ControlPlane
from tests.kernel.faults.agent import Agent
from tests.kernel.faults.conftest import Web
from tests.kernel.traffic.apiserver import Cluster
from tests.support.netns.topology import Topology
from tests.support.polling import eventually
from tests.support.scenarios.objects import merged

pytestmark = [pytest.mark.kernel, pytest.mark.apiserver, pytest.mark.timeout(400)]


@pytest.fixture
def remembering(agent: Agent, tmp_path: Path) -> Agent:
    """An agent that keeps what it knows in a file."""
    agent.options = (f"--state-dir={tmp_path / 'state'}",)
    return agent


def test_services_come_back_after_a_boot_without_an_api_server(
    remembering: Agent, plane: ControlPlane, api_cluster: Cluster, world: Topology, web: Web
) -> None:
    agent = remembering
    with agent.running():
        agent.serves()
        agent.stop()
        key = ("EndpointSlice", "matrix-load-balancer", "web-4")
        api_cluster.writer.apply([merged(web.objects[key], {"endpoints": web.objects[key]["endpoints"][:1]})])
        plane.stop_server()
        try:
            world.node.run("nft", "flush", "ruleset")
            assert not web.served()

            seen = agent.memory()
            agent.start()
            eventually(web.served, within_s=60, every_s=0.2)
            assert "serving from checkpoint" in [line["event"] for line in agent.said()[seen:]]
        finally:
            plane.start_server()
        eventually(lambda: _reached(web) == {"near1"}, within_s=60)
        eventually(lambda: agent.condition("Degraded")[0] == "False", within_s=60, every_s=0.2)


def test_rules_that_are_there_are_not_replaced_by_an_older_memory(
    remembering: Agent, plane: ControlPlane, api_cluster: Cluster, web: Web, tmp_path: Path
) -> None:
    agent = remembering
    with agent.running():
        agent.serves()
        agent.stop()
        (memory,) = (tmp_path / "state").iterdir()
        old = memory.read_bytes()
        agent.start()
        key = ("EndpointSlice", "matrix-load-balancer", "web-4")
        api_cluster.put({**web.objects, key: merged(web.objects[key], {"endpoints": web.objects[key]["endpoints"][:1]})})
        eventually(lambda: _reached(web) == {"near1"}, within_s=60)
        agent.kill()
        memory.write_bytes(old)
        plane.stop_server()
        try:
            seen = agent.memory()
            agent.start()
            eventually(lambda: any(line["event"] == "rules are newer than the checkpoint" for line in agent.said()[seen:]), within_s=60)
            assert _reached(web) == {"near1"}
        finally:
            plane.start_server()


def _reached(web: Web) -> set[str]:
    return {answer.split()[0] for answer in web.pod.ask([web.flow(attempts=24, least=24)])[0]}
