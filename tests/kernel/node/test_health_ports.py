"""Health check node ports (row 131) on the node under test: the agent's answers are the real kube-proxy's, octet by octet."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.controlplane import ControlPlane
from tests.kernel.node.healthports import balanced, everywhere, exchanges, status
from tests.kernel.node.udp import ready
from tests.kernel.traffic.apiserver import HEALTH_PORT, AgentProcess, Cluster, KubeProxy
from tests.kernel.traffic.subject import Running
from tests.support.netns.topology import NODE, NODE_ALTERNATIVE, NODE_NAME, Topology
from tests.support.polling import eventually
from tests.support.scenarios.configs import CONFIGS

pytestmark = [pytest.mark.kernel, pytest.mark.apiserver, pytest.mark.timeout(400)]

WITHIN_S = 60


def healthz_status() -> int:
    """Of the agent in this namespace; 0 if it does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", HEALTH_PORT, timeout=30)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


Started = Callable[[str], AbstractContextManager[Running]]


@pytest.fixture
def started(
    request: pytest.FixtureRequest, world: Topology, control_plane: ControlPlane, api_cluster: Cluster, tmp_path: Path
) -> Iterator[Started]:
    """Starts a proxy, by its name and with the configuration that the test asks for."""
    config = CONFIGS[getattr(request, "param", "default")]

    def start(name: str) -> AbstractContextManager[Running]:
        kind, _, mode = name.rpartition(" ")
        return (AgentProcess if kind == "agent" else KubeProxy)(mode, control_plane, world, api_cluster, tmp_path).running(config)

    yield start
    api_cluster.put({})


OURS, THEIRS = "agent nftables", "kube-proxy nftables"
BOTH = pytest.mark.parametrize("proxy", [OURS, "agent iptables", THEIRS])


def test_row_131_the_answers_are_kube_proxys_octet_by_octet(world: Topology, started: Started) -> None:
    said: dict[str, list[tuple[str, bool]]] = {}
    for proxy in (OURS, THEIRS):
        with started(proxy) as running:
            running.apply(balanced(*ready("near1", "near2", "far1")))
            everywhere(world, "200 2")
            said[proxy] = exchanges(world)
            running.apply(balanced(*ready("far1")))
            everywhere(world, "503 0")
            said[proxy] += exchanges(world)
    assert said[OURS] == said[THEIRS]
    assert all(answer for answer, _ in said[OURS])


@BOTH
@pytest.mark.parametrize("started", ["node-port-cidrs"], indirect=True)
def test_row_131_servers_listen_on_the_addresses_of_node_ports(world: Topology, started: Started, proxy: str) -> None:
    with started(proxy) as running:
        running.apply(balanced(*ready("near1")))
        everywhere(world, "200 1")
        everywhere(world, "200 1", addresses=NODE_ALTERNATIVE)
        assert status(world, "192.168.52.1") == "ConnectionRefusedError"


def test_ports_stay_open_while_the_node_reports_no_addresses(world: Topology, started: Started, control_plane: ControlPlane) -> None:
    def patch(what: dict[str, Any], *options: str) -> None:
        control_plane.kubectl("patch", "node", NODE_NAME, "--type=merge", "-p", json.dumps(what), *options)

    def healthz(wanted: int) -> None:
        eventually(lambda: world.node.call(healthz_status) == wanted, within_s=WITHIN_S)

    addresses = [{"type": "InternalIP", "address": address} for address in NODE.both]
    with started(OURS) as running:
        running.apply(balanced(*ready("near1")))
        everywhere(world, "200 1")
        try:
            patch({"status": {"addresses": [{"type": "Hostname", "address": NODE_NAME}]}}, "--subresource=status")
            # What the same watch brings later has been seen later.
            patch({"spec": {"taints": [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]}})
            healthz(503)
            patch({"spec": {"taints": None}})
            healthz(200)
            everywhere(world, "200 1")
        finally:
            patch({"status": {"addresses": addresses}}, "--subresource=status")
            patch({"spec": {"taints": None}})
