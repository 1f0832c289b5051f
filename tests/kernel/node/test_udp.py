"""UDP clients that never stop sending follow the endpoints: every transition (rows 120-123), in our modes and with the real kube-proxy."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.controlplane import ControlPlane
from tests.kernel.node.udp import (
    MOVES_WITHIN_S,
    NODE_PORT,
    PORT,
    WAYS,
    Cleaned,
    Client,
    Endpoint,
    Table,
    answered_by,
    clients,
    exposed,
    lasting_flows,
    reach,
    ready,
    served_by,
    service,
)
from tests.kernel.traffic.apiserver import Cluster, KubeProxy
from tests.kernel.traffic.inprocess import DATAPLANES, Pipeline
from tests.kernel.traffic.subject import Running
from tests.support.netns.topology import NODE2, PODS, Topology
from tests.support.polling import eventually
from tests.support.scenarios.configs import CONFIGS

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(240)]

OURS, KUBE_PROXY = tuple(DATAPLANES), "kube-proxy"
DRAINING = {"ready": False, "serving": True, "terminating": True}
TRANSLATING = tuple(mode for mode in OURS if mode != "userspace")
"""Those in whose flows an endpoint answers a client: in userspace mode a process between them does."""


@pytest.fixture(scope="module", params=[*OURS, KUBE_PROXY])
def proxy(request: pytest.FixtureRequest, world: Topology) -> Iterator[tuple[str, Running]]:
    """The name of a proxy, and it at work on the node under test."""
    with contextlib.ExitStack() as stack:
        if request.param in OURS:
            mode = stack.enter_context(served_by(world, request.param))
            yield request.param, Pipeline(world, Cleaned(world, mode), CONFIGS["default"], request.param)
        else:
            api: ControlPlane = request.getfixturevalue("control_plane")
            api_cluster: Cluster = request.getfixturevalue("api_cluster")
            folder: Path = request.getfixturevalue("tmp_path_factory").mktemp(KUBE_PROXY)
            yield KUBE_PROXY, stack.enter_context(KubeProxy("nftables", api, world, api_cluster, folder).running(CONFIGS["default"]))


@pytest.fixture
def running(proxy: tuple[str, Running], world: Topology) -> Iterator[Running]:
    """A proxy of an empty cluster."""
    Table(world.node).empty()
    with lasting_flows(world.node):
        yield proxy[1]
    proxy[1].apply({})


@pytest.mark.parametrize("proxy", [*TRANSLATING, KUBE_PROXY], indirect=True)
def test_flows_leave_an_endpoint_that_is_gone_and_tcp_connections_stay(running: Running, world: Topology) -> None:
    both = [{"name": name, "protocol": name.upper(), "port": PORT, "targetPort": 8080} for name in ("tcp", "udp")]

    def one_more_protocol(place: str) -> dict[tuple[str, str, str], dict[str, object]]:
        objects = service(ready(place), ports=both)
        for (kind, _, _), one in objects.items():
            if kind == "EndpointSlice":
                one["ports"] = [{"name": port["name"], "protocol": port["protocol"], "port": 7070} for port in both]
        return objects

    listener = world["near1"].call(socket.create_server, (PODS["near1"].v4, 7070))
    with listener, clients(world, *WAYS[:1]) as sending:
        running.apply(one_more_protocol("near1"))
        with world["client"].call(socket.create_connection, ("10.96.0.200", PORT)) as connection, listener.accept()[0] as accepted:
            for client in sending:
                client.ask(0.05)
            assert len(answered_by(Table(world.node).all(), "near1")) == len(sending)
            running.apply(one_more_protocol("near2"))
            for client in sending:
                client.ask(0.05)
            eventually(lambda: answered_by(Table(world.node).all(), "near1"), within_s=MOVES_WITHIN_S, until=lambda flows: not flows)
            connection.sendall(b"still there")
            assert accepted.recv(100) == b"still there"


def test_row_121_clients_are_refused_when_no_endpoint_is_left(proxy: tuple[str, Running], running: Running, world: Topology) -> None:
    with clients(world, *WAYS) as sending:
        running.apply(exposed(ready("near1")))
        reach(sending, "near1 8080")
        running.apply(exposed([]))
        # kube-proxy leaves such flows where they are: its clean-up skips Services without endpoints (its documented weakness 24).
        reach(sending, "refused" if proxy[0] in OURS else "near1 8080")


def test_row_122_clients_of_every_address_move_to_the_pod_that_replaces_theirs(running: Running, world: Topology) -> None:
    with clients(world, *WAYS) as sending:
        running.apply(exposed(ready("near1")))
        reach(sending, "near1 8080")
        running.apply(exposed(ready("near2")))
        reach(sending, "near2 8080")


def test_row_122_clients_of_a_service_with_internal_policy_local_move_too(running: Running, world: Topology) -> None:
    with clients(world, *WAYS[:2]) as sending:
        running.apply(service(ready("near1", "far1"), internalTrafficPolicy="Local"))
        reach(sending, "near1 8080")
        running.apply(service(ready("near2", "far1"), internalTrafficPolicy="Local"))
        reach(sending, "near2 8080")


def test_row_122_clients_move_when_their_pod_is_unready_and_another_is_ready(running: Running, world: Topology) -> None:
    unready = {"ready": False, "serving": False, "terminating": False}
    with clients(world, *WAYS) as sending:
        running.apply(exposed([Endpoint("near1"), Endpoint("near2", unready)]))
        reach(sending, "near1 8080")
        running.apply(exposed([Endpoint("near1", unready), Endpoint("near2")]))
        reach(sending, "near2 8080")


def test_clients_of_a_pod_that_drains_stay_until_it_has_gone(running: Running, world: Topology) -> None:
    with clients(world, *WAYS) as sending:
        running.apply(exposed(ready("near1")))
        reach(sending, "near1 8080")
        running.apply(exposed([Endpoint("near1", DRAINING), Endpoint("near2")]))
        reach(sending, "near1 8080")
        running.apply(exposed([Endpoint("near1", {**DRAINING, "serving": False}), Endpoint("near2")]))
        reach(sending, "near2 8080")


def test_row_123_clients_follow_the_target_port(running: Running, world: Topology) -> None:
    with clients(world, *WAYS) as sending:
        running.apply(exposed(ready("near1"), target=8080))
        reach(sending, "near1 8080")
        running.apply(exposed(ready("near1"), target=9090))
        reach(sending, "near1 9090")


@pytest.mark.parametrize("proxy", OURS, indirect=True)
def test_the_first_endpoint_serves_clients_that_were_sending_before(running: Running, world: Topology) -> None:
    with clients(world, *WAYS) as sending:
        for client in sending[4:]:
            assert client.ask() in ("refused", "beyond 7777"), "nobody knows these addresses yet: they are not translated"
        running.apply(exposed([]))
        reach(sending, "refused")
        running.apply(exposed(ready("near1")))
        reach(sending, "near1 8080")


@pytest.mark.parametrize("proxy", OURS, indirect=True)
def test_new_addresses_of_a_service_serve_clients_that_were_sending_to_them_before(running: Running, world: Topology) -> None:
    with clients(world, *WAYS[2:]) as sending:
        running.apply(service(ready("near1")))
        for client in sending:
            client.ask()
        assert len(Table(world.node).all()) == len(sending)
        running.apply(exposed(ready("near1")))
        reach(sending, "near1 8080")


@pytest.mark.parametrize("proxy", TRANSLATING, indirect=True)
def test_a_deleted_service_has_no_flows(running: Running, world: Topology) -> None:
    with clients(world, *WAYS) as sending:
        running.apply(exposed(ready("near1")))
        reach(sending, "near1 8080")
        running.apply({})
        assert answered_by(Table(world.node).all(), "near1") == []


@pytest.mark.parametrize("proxy", TRANSLATING, indirect=True)
def test_flows_of_others_are_left_alone(running: Running, world: Topology) -> None:
    other = service(ready("near1"), name="other", clusterIP="10.96.0.201", clusterIPs=["10.96.0.201", "fd00:10:96::c9"])
    foreign = Client(world["client"], NODE2.v4, NODE_PORT), Client(world["client"], PODS["near1"].v4, 8080)
    with contextlib.closing(foreign[0]), contextlib.closing(foreign[1]), clients(world, ("client", WAYS[0][1], PORT)) as sending:
        running.apply({**exposed(ready("near1")), **other})
        beside = Client(world["client"], "10.96.0.201", PORT)
        for client in (*sending, *foreign, beside):
            assert client.ask(), "an answer that comes later would be another flow"
        before = {flow.message[-40:] for flow in Table(world.node).all()}
        running.apply({**exposed(ready("near2")), **other})
        assert len(before) == len(sending) + 3
        after = Table(world.node).all()
        assert len(after) == 3, "a node port's number at a foreign host, an endpoint itself, another Service"
        beside.close()
