"""A whole agent in userspace mode: thousands of connections at once, and Services that come and go during a hot loop of connections."""

from __future__ import annotations

import contextlib
import copy
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from tests.cluster.controlplane import ControlPlane
from tests.kernel.faults.agent import Agent, order
from tests.kernel.traffic.apiserver import Cluster
from tests.kernel.traffic.stories import endpoint, service, slices, story, the_service
from tests.kernel.userspace.rig import naming
from tests.support.netns.peers import Prober
from tests.support.netns.probe import DROP
from tests.support.netns.programs import ROOT
from tests.support.netns.topology import PODS, Topology
from tests.support.polling import eventually
from tests.support.scenarios.objects import SERVICE_LABEL, Key
from tests.support.scenarios.scenario import Object

pytestmark = [pytest.mark.kernel, pytest.mark.apiserver, pytest.mark.timeout(400)]

CONNECTIONS, TOGETHER, PORT, CHANGES = 5000, 100, 7070, 3
ANOTHER = "10.96.0.200"


@dataclass(frozen=True, slots=True)
class Target:
    """A Service with one endpoint, and the socket that listens there."""

    address: str
    server: socket.socket
    objects: dict[Key, Object]


@pytest.fixture
def target(agent: Agent, plane: ControlPlane, api_cluster: Cluster, world: Topology) -> Iterator[Target]:
    """Served in userspace mode."""
    (objects,) = story((service(), slices(endpoint("near1"))))
    for (kind, _, _), one in objects.items():
        if kind == "EndpointSlice":
            one["ports"] = [{**port, "port": PORT} for port in one["ports"]]
    order(plane, mode="userspace")
    api_cluster.put(objects)
    address = the_service(objects)["spec"]["clusterIPs"][0]
    server = world["near1"].call(lambda: socket.create_server((PODS["near1"].v4, PORT), backlog=4096))
    with server, agent.running():
        agent.serves()
        eventually(lambda: _is_served(world, address, server), within_s=60)
        yield Target(address, server, objects)


@pytest.fixture
def _many_descriptors() -> Iterator[None]:
    """For both ends of all connections in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("_many_descriptors")
def test_five_thousand_connections_are_open_at_once_and_each_one_works(target: Target, agent: Agent, world: Topology) -> None:
    with contextlib.ExitStack() as opened:
        clients, ends = [], []
        for _ in range(0, CONNECTIONS, TOGETHER):
            clients += [opened.enter_context(each) for each in world["client"].call(_connections, target.address)]
            ends += [opened.enter_context(target.server.accept()[0]) for _ in range(TOGETHER)]
        for number, client in enumerate(clients):
            client.sendall(number.to_bytes(4))
        for end in ends:
            end.sendall(end.recv(4)[::-1])
        assert [client.recv(4) for client in clients] == [number.to_bytes(4)[::-1] for number in range(CONNECTIONS)]
        assert agent.ready()


def test_services_come_and_go_during_a_hot_loop_of_connections(
    target: Target, agent: Agent, world: Topology, api_cluster: Cluster, probers: Mapping[str, Prober]
) -> None:
    argv = (sys.executable, "-m", "tests.kernel.userspace.hotloop", target.address, "80")
    with naming(target.server, b"near1"), world["client"].spawn(*argv, cwd=ROOT, stdout=subprocess.PIPE) as loop:
        try:
            assert loop.stdout is not None
            assert loop.stdout.readline() == "hot\n"
            for _ in range(CHANGES):
                api_cluster.put({**target.objects, **_another(target.objects)})
                eventually(lambda: _answers(probers["client"]), within_s=60, until={"near2"}.__eq__)
                api_cluster.put(target.objects)
                eventually(lambda: _answers(probers["client"]), within_s=60, until={DROP}.__eq__)
            assert loop.poll() is None
        finally:
            loop.kill()
        assert agent.ready()


def _another(objects: Mapping[Key, Object]) -> dict[Key, Object]:
    """The same Service under another name and address, with another endpoint."""
    made: dict[Key, Object] = {}
    for (kind, namespace, _), one in copy.deepcopy(dict(objects)).items():
        if kind == "Service":
            one["spec"] |= {"clusterIP": ANOTHER, "clusterIPs": [ANOTHER], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}
        elif one["addressType"] == "IPv6":
            continue
        else:
            one["metadata"]["labels"][SERVICE_LABEL] = "another"
            one["endpoints"][0]["addresses"] = [PODS["near2"].v4]
            one["ports"] = [{**port, "port": 8080} for port in one["ports"]]
        one["metadata"]["name"] = "another"
        made[kind, namespace, "another"] = one
    return made


def _answers(pod: Prober) -> set[str]:
    """Who answers at the other Service's address."""
    (counts,) = pod.ask([{"address": ANOTHER, "port": 80, "patience_s": 1}])
    return {answer.split()[0] for answer in counts}


def _connections(address: str) -> list[socket.socket]:
    return [socket.create_connection((address, 80), 60) for _ in range(TOGETHER)]


def _is_served(world: Topology, address: str, server: socket.socket) -> bool:
    server.settimeout(60)
    try:
        with world["client"].call(socket.create_connection, (address, 80), 60), server.accept()[0]:
            return True
    except ConnectionError:
        return False
