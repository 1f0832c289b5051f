"""How load balancers see a node: /healthz, /livez and health check node ports, when all is well and when it is not (T14)."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster.controlplane import ControlPlane
from tests.kernel.faults.agent import Agent, forget, order
from tests.kernel.faults.conftest import Web
from tests.kernel.node.healthports import PORT, balanced, everywhere, status
from tests.kernel.node.udp import ready
from tests.kernel.traffic.apiserver import Cluster
from tests.support.netns.topology import NODE, NODE_ALTERNATIVE, NODE_NAME, Topology
from tests.support.polling import eventually

pytestmark = [pytest.mark.kernel, pytest.mark.apiserver, pytest.mark.timeout(400)]

TAINT = {"key": "ToBeDeletedByClusterAutoscaler", "value": "1", "effect": "NoSchedule"}


@pytest.fixture
def node_patch(plane: ControlPlane) -> Iterator[Any]:
    """Patches the Node under test; it is as before afterwards."""

    def patch(**spec: Any) -> None:
        plane.kubectl("patch", "node", NODE_NAME, "--type=merge", "-p", json.dumps({"spec": spec}))

    yield patch
    patch(taints=None)


TABLES = {"nftables": "ip proxyconfig", "iptables": "ip nat"}
"""One that each mode needs."""


@contextlib.contextmanager
def owned_by_another(world: Topology, table: str) -> Iterator[None]:
    """Another program has taken the agent's table away, and keeps one of that name to itself: the kernel refuses all changes."""
    other = world.node.spawn("nft", "-i", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert other.stdin is not None
    try:
        other.stdin.write(f"delete table {table}; add table {table} {{ flags owner; }}\n")
        other.stdin.flush()
        yield
    finally:
        other.stdin.close()
        other.wait(timeout=60)


@pytest.mark.parametrize("mode", TABLES)
def test_row_128_a_node_that_serves_says_so_and_tells_its_mode(agent: Agent, plane: ControlPlane, mode: str) -> None:
    order(plane, mode=mode)
    with agent.running():
        agent.serves()
        code, said = agent.asked("/healthz")
        assert (code, said["healthy"], said["nodeEligible"]) == (200, True, True)
        assert {family["healthy"] for family in said["status"].values()} == {True}
        assert said["lastUpdated"] == said["currentTime"]
        assert agent.asked("/livez")[0] == 200
        assert agent.page("/proxyMode") == mode


def test_before_the_first_sync_a_node_is_not_healthy(agent: Agent, plane: ControlPlane) -> None:
    forget(plane)
    with agent.running():
        code, said = eventually(
            lambda: agent.asked("/healthz"), within_s=60, until=lambda answer: "Node" not in answer[1].get("reason", "Node")
        )
        assert (code, said["reason"]) == (503, "the first sync has not ended yet")
        assert agent.asked("/livez")[0] == 200
        order(plane)
        eventually(lambda: agent.asked("/healthz")[0], within_s=60, until=lambda code: code == 200)
        order(plane, action="Remove")
        eventually(
            lambda: agent.asked("/healthz")[1].get("reason"), within_s=60, until=lambda said: said == "this node's proxy was removed"
        )


def test_row_130_a_node_that_is_about_to_go_is_drained_and_its_agent_lives_on(agent: Agent, node_patch: Any) -> None:
    with agent.running():
        agent.serves()
        node_patch(taints=[TAINT])
        _, said = eventually(lambda: agent.asked("/healthz"), within_s=60, until=lambda answer: answer[0] == 503)
        assert (said["healthy"], said["nodeEligible"], said["reason"]) == (True, False, "the node is being deleted")
        assert agent.asked("/livez")[0] == 200
        node_patch(taints=None)
        eventually(lambda: agent.asked("/healthz")[0], within_s=60, until=lambda code: code == 200)


@pytest.mark.parametrize("mode", TABLES)
def test_rules_that_cannot_be_repaired_fail_the_checks_and_those_of_services_until_they_are(
    agent: Agent, plane: ControlPlane, world: Topology, api_cluster: Cluster, web: Web, *, mode: str
) -> None:
    order(plane, mode=mode)
    api_cluster.put({**web.objects, **balanced(*ready("near1"))})
    with agent.running():
        agent.serves()
        everywhere(world, "200 1")
        with owned_by_another(world, TABLES[mode]):
            _, said = eventually(lambda: agent.asked("/healthz"), within_s=60, until=lambda answer: answer[0] == 503)
            assert not said["healthy"]
            assert f"failed: {mode}: " in said["reason"]
            everywhere(world, "503 1")
            assert agent.asked("/livez")[0] == 200
        eventually(lambda: agent.asked("/healthz")[0], within_s=60, until=lambda code: code == 200)
        everywhere(world, "200 1")
        assert web.served()


def test_a_mode_that_the_kernel_cannot_do_fails_healthz_with_the_reason(agent: Agent) -> None:
    agent.prefix = (sys.executable, "-m", "tests.kernel.faults.lacking", "nfnetlink")
    with agent.running():
        code, said = eventually(lambda: agent.asked("/healthz"), within_s=60, until=lambda answer: "lacks" in answer[1].get("reason", ""))
        assert code == 503
        assert "the kernel lacks netlink sockets for netfilter" in said["reason"]


def test_row_131_a_port_that_is_taken_is_told_on_the_service_and_opened_when_it_is_free(
    agent: Agent, world: Topology, api_cluster: Cluster, web: Web
) -> None:
    api_cluster.put({**web.objects, **balanced(*ready("near1"))})
    with world.node.call(socket.create_server, (NODE.v4, PORT)), agent.running():
        (event,) = eventually(lambda: agent.events("FailedToStartServiceHealthcheck", "Service"), within_s=60, every_s=0.2)
        assert (event["regarding"]["name"], event["action"], event["type"]) == ("web", "Listen", "Warning")
        assert f"cannot open spec.healthCheckNodePort {PORT}: Address already in use" in event["note"]
        eventually(lambda: status(world, NODE.v6), within_s=60, until=lambda got: got == "200 1")  # the other family is served
        degraded = eventually(lambda: agent.condition("Degraded"), within_s=60, every_s=0.2, until=lambda condition: condition[0] == "True")
        assert degraded[1] == "HealthCheckNodePortsClosed"
        assert f"spec.healthCheckNodePort {PORT} of Service checked/web on {NODE.v4}: Address already in use" in degraded[2]
        assert agent.ready()
    with agent.running():
        everywhere(world, "200 1")


def test_row_131_servers_move_with_the_addresses_of_node_ports_while_the_agent_runs(
    agent: Agent, plane: ControlPlane, world: Topology, api_cluster: Cluster, web: Web
) -> None:
    api_cluster.put({**web.objects, **balanced(*ready("near1"))})
    with agent.running():
        agent.serves()
        everywhere(world, "200 1")
        order(plane, nodePorts={"addresses": [f"{NODE_ALTERNATIVE.v4}/32", f"{NODE_ALTERNATIVE.v6}/128"]})
        everywhere(world, "200 1", addresses=NODE_ALTERNATIVE)
        everywhere(world, "ConnectionRefusedError")
