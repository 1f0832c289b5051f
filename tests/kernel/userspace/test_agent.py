"""The whole agent in userspace mode: its watches and syncs go on, however many connections its proxy process has."""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cluster.controlplane import ControlPlane
from tests.kernel.traffic.apiserver import HEALTH_PORT, AgentProcess, Cluster
from tests.kernel.traffic.stories import Objects, endpoint, service, slices, story, the_service
from tests.kernel.userspace.rig import naming
from tests.support.netns.programs import ROOT
from tests.support.netns.topology import PODS, Topology
from tests.support.scenarios.configs import CONFIGS

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(300)]

PORT = 9191
CHANGES = 5


@pytest.mark.usefixtures("probers")
def test_a_hot_loop_of_connections_does_not_hold_up_the_agents_syncs(
    control_plane: ControlPlane, world: Topology, api_cluster: Cluster, tmp_path: Path
) -> None:
    one, two = story((service(), slices(endpoint("near1"))), (slices(endpoint("near1"), endpoint("near2")),))
    address = the_service(one)["spec"]["clusterIPs"][0]
    arguments = (sys.executable, "-m", "tests.kernel.userspace.hotloop", address, "80")
    with contextlib.ExitStack() as running:
        for pod in ("near1", "near2"):
            running.enter_context(naming(_listening(world, pod), pod.encode()))
        running.enter_context(AgentProcess("userspace", control_plane, world, api_cluster, tmp_path).running(CONFIGS["default"]))
        api_cluster.apply(_at_port(one))
        loop = running.enter_context(world["client"].spawn(*arguments, cwd=ROOT, stdout=subprocess.PIPE))
        running.callback(loop.kill)
        assert loop.stdout is not None
        assert loop.stdout.readline() == "hot\n"
        for _ in range(CHANGES):
            api_cluster.apply(_at_port(two))
            api_cluster.apply(_at_port(one))
        assert loop.poll() is None
        assert world.node.call(_health) == http.client.OK
        loop.kill()
        api_cluster.apply({})


def _at_port(objects: Objects) -> Objects:
    """With endpoints at the test's own servers."""
    return {
        key: {**one, "ports": [{**port, "port": PORT} for port in one["ports"]]} if key[0] == "EndpointSlice" else one
        for key, one in objects.items()
    }


def _listening(world: Topology, pod: str) -> socket.socket:
    made = world[pod].call(socket.socket)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((PODS[pod].v4, PORT))
    made.listen(1024)
    return made


def _health() -> int:
    connection = http.client.HTTPConnection("127.0.0.1", HEALTH_PORT, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", "/healthz")
        return connection.getresponse().status
