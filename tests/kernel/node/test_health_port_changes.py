"""Health check node ports come and go with their Services, and their answers with the endpoints (rows 58, 95, 96, 131)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster.controlplane import ControlPlane
from tests.kernel.node.healthports import PORT, balanced, everywhere, status
from tests.kernel.node.udp import Endpoint, ready
from tests.kernel.traffic.apiserver import AgentProcess, Cluster, KubeProxy
from tests.kernel.traffic.subject import Running
from tests.support.netns.topology import NODE, NODE_ALTERNATIVE, Topology
from tests.support.scenarios.configs import CONFIGS

pytestmark = [pytest.mark.kernel, pytest.mark.apiserver, pytest.mark.timeout(400)]

DRAINING = {"ready": False, "serving": True, "terminating": True}


@pytest.fixture(scope="module", params=["agent nftables", "agent iptables", "kube-proxy nftables"])
def proxy(
    request: pytest.FixtureRequest,
    world: Topology,
    control_plane: ControlPlane,
    api_cluster: Cluster,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    """A proxy at work, for all tests."""
    kind, _, mode = request.param.rpartition(" ")
    subject = AgentProcess if kind == "agent" else KubeProxy
    with subject(mode, control_plane, world, api_cluster, tmp_path_factory.mktemp(kind)).running(CONFIGS["default"]) as running:
        yield running


@pytest.fixture
def running(proxy: Running) -> Iterator[Running]:
    """A proxy of an empty cluster."""
    yield proxy
    proxy.apply({})


def test_row_131_a_port_follows_its_service(running: Running, world: Topology) -> None:
    running.apply(balanced(*ready("near1")))
    everywhere(world, "200 1")
    running.apply(balanced(*ready("near1", "near2")))
    everywhere(world, "200 2")
    running.apply({})
    everywhere(world, "ConnectionRefusedError")
    running.apply(balanced(*ready("near1"), port=PORT + 10))
    everywhere(world, "200 1", PORT + 10)
    assert {status(world, address) for address in NODE.both} == {"ConnectionRefusedError"}


def test_row_058_and_row_096_only_ready_endpoints_of_this_node_count(running: Running, world: Topology) -> None:
    running.apply(balanced(Endpoint("near1"), Endpoint("far1")))
    everywhere(world, "200 1")
    running.apply(balanced(Endpoint("near1", DRAINING), Endpoint("far1")))
    everywhere(world, "503 0")
    running.apply(balanced(Endpoint("near1", DRAINING), Endpoint("near2")))
    everywhere(world, "200 1")


def test_row_095_the_port_comes_and_goes_with_policy_local(running: Running, world: Topology) -> None:
    cluster: dict[str, Any] = {"externalTrafficPolicy": "Cluster", "healthCheckNodePort": None}
    running.apply(balanced(*ready("near1")))
    everywhere(world, "200 1")
    running.apply(balanced(*ready("near1"), **cluster))
    everywhere(world, "ConnectionRefusedError")
    running.apply(balanced(*ready("near1")))
    everywhere(world, "200 1")


def test_row_131_other_addresses_have_no_servers(running: Running, world: Topology) -> None:
    running.apply(balanced(*ready("near1")))
    everywhere(world, "200 1")
    assert {status(world, address) for address in NODE_ALTERNATIVE.both} == {"ConnectionRefusedError"}
