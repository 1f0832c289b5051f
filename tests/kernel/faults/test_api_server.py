"""The API server goes away and comes back: Services keep working all the time, and what changed meanwhile is caught up with."""

from __future__ import annotations

import pytest
from tests.cluster.controlplane import ControlPlane
from tests.kernel.faults.agent import Agent
from tests.kernel.faults.conftest import Web
from tests.kernel.traffic.apiserver import Cluster
from tests.support.polling import eventually
from tests.support.scenarios.objects import merged

pytestmark = [pytest.mark.kernel, pytest.mark.apiserver, pytest.mark.timeout(400)]


def test_services_work_without_an_api_server_and_changes_catch_up(
    agent: Agent, plane: ControlPlane, api_cluster: Cluster, web: Web
) -> None:
    with agent.running():
        agent.serves()
        plane.stop_server()
        web.begin(for_s=4)
        attempts, lost = web.lost()
        assert not lost
        assert attempts > 100

        plane.start_server()
        key = ("EndpointSlice", "matrix-load-balancer", "web-4")
        only_one = merged(web.objects[key], {"endpoints": web.objects[key]["endpoints"][:1]})
        api_cluster.put({**web.objects, key: only_one})

        reached = eventually(
            lambda: {answer.split()[0] for answer in web.pod.ask([web.flow(attempts=24, least=24)])[0]},
            within_s=60,
            until={"near1"}.__eq__,
        )
        assert reached == {"near1"}
        assert agent.ready()


def test_an_agent_that_dies_without_an_api_server_leaves_the_services_working(agent: Agent, plane: ControlPlane, web: Web) -> None:
    with agent.running():
        agent.serves()
        plane.stop_server()
        try:
            agent.kill()
            assert web.served()
            seen = agent.memory()
            agent.start()
            assert web.served()
        finally:
            plane.start_server()
        eventually(lambda: any(line["event"] == "synced" for line in agent.said()[seen:]), within_s=60)
        assert web.served()
