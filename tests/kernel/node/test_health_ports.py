"""Health check node ports (rows 58, 95, 96, 131) on the node under test: the agent's answers are the real kube-proxy's, octet by octet."""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.controlplane import ControlPlane
from tests.kernel.node.udp import Endpoint, ready
from tests.kernel.traffic.apiserver import HEALTH_PORT, AgentProcess, Cluster, KubeProxy
from tests.kernel.traffic.subject import Running
from tests.support.netns.topology import NODE, NODE_ALTERNATIVE, NODE_NAME, Pair, Topology
from tests.support.polling import eventually
from tests.support.scenarios.book import NETNS
from tests.support.scenarios.configs import CONFIGS
from tests.support.scenarios.objects import SERVICE_LABEL, Key
from tests.support.scenarios.scenario import Object

pytestmark = [pytest.mark.kernel, pytest.mark.apiserver, pytest.mark.timeout(400)]

NAMESPACE = "checked"
PORT, NODE_PORT = 32751, 32752
WITHIN_S = 60
DRAINING = {"ready": False, "serving": True, "terminating": True}
CLOSING = b"GET / HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n"
REQUESTS = (
    b"GET /healthz HTTP/1.1\r\nHost: node\r\n\r\n",
    b"GET /anything?at=all HTTP/1.1\r\nHost: node\r\nUser-Agent: GoogleHC/1.0\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: node\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: node\r\nContent-Length: 0\r\n\r\n",
    CLOSING,
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: node\r\n\r\nGET / HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n",
    b"nonsense\r\n\r\n",
)


def balanced(*endpoints: Endpoint, port: int = PORT, **spec: Any) -> dict[Key, Object]:
    """A LoadBalancer with policy Local in both families, with two ports; `spec` changes it."""
    pair = ["10.96.0.210", "fd00:10:96::d2"]
    ports = [{"name": "web", "port": 80, "targetPort": 8080, "nodePort": NODE_PORT}, {"name": "alt", "port": 81, "targetPort": 9090}]
    spec = {
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",
        "healthCheckNodePort": port,
        "clusterIP": pair[0],
        "clusterIPs": pair,
        "ipFamilies": ["IPv4", "IPv6"],
        "ipFamilyPolicy": "RequireDualStack",
        "ports": [ports[0], {**ports[1], "nodePort": NODE_PORT + 1}],
        **spec,
    }
    metadata = {"namespace": NAMESPACE, "name": "web"}
    spec = {name: value for name, value in spec.items() if value is not None}
    objects: dict[Key, Object] = {
        ("Service", NAMESPACE, "web"): {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
    }
    for family in (4, 6):
        objects["EndpointSlice", NAMESPACE, f"web-{family}"] = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"namespace": NAMESPACE, "name": f"web-{family}", "labels": {SERVICE_LABEL: "web"}},
            "addressType": f"IPv{family}",
            "ports": [{"name": "web", "port": 8080, "protocol": "TCP"}, {"name": "alt", "port": 9090, "protocol": "TCP"}],
            "endpoints": [
                {
                    "addresses": [NETNS.places[each.place][family]],
                    "nodeName": NETNS.nodes[each.place],
                    "conditions": dict(each.conditions),
                }
                for each in endpoints
            ],
        }
    return objects


def exchange(world: Topology, address: str, port: int, request: bytes, quiet_s: float = 6) -> tuple[str, bool]:
    """Everything that comes back for a request from outside, but for the time of day, and whether the connection was closed then.

    Where nothing more comes for so long, it stays open."""

    def talk() -> tuple[str, bool]:
        received, closed = b"", False
        with socket.create_connection((address, port), timeout=30) as connection:
            connection.sendall(request)
            while not closed:
                connection.settimeout(quiet_s if received else 30)
                try:
                    part = connection.recv(65536)
                except TimeoutError:
                    break
                received, closed = received + part, not part
        return re.sub(r"(?m)^Date: .*GMT\r$", "Date: now", received.decode()), closed

    return world["outside"].call(talk)


def exchanges(world: Topology) -> list[tuple[str, bool]]:
    """What comes back for all requests at both addresses of the node, in order; all at the same time, as it takes long to be sure."""
    requests = [(address, request) for request in REQUESTS for address in NODE.both]
    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(lambda each: exchange(world, each[0], PORT, each[1]), requests))


def status(world: Topology, address: str, port: int = PORT) -> str:
    """`200 2`: the status and how many endpoints; or what became of the connection."""
    try:
        told, _ = exchange(world, address, port, CLOSING, quiet_s=30)
    except OSError as error:
        return type(error).__name__
    weight = re.search(r"^X-Load-Balancing-Endpoint-Weight: (\d+)", told, re.MULTILINE)
    return f"{told.split()[1]} {weight[1]}" if weight else told


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


def everywhere(world: Topology, wanted: str, port: int = PORT, addresses: Pair = NODE) -> None:
    for address in addresses.both:
        eventually(lambda address=address: status(world, address, port), within_s=WITHIN_S, until=lambda got: got == wanted)  # type: ignore[misc]


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
def test_row_131_a_port_follows_its_service(world: Topology, started: Started, proxy: str) -> None:
    with started(proxy) as running:
        running.apply(balanced(*ready("near1")))
        everywhere(world, "200 1")
        running.apply(balanced(*ready("near1", "near2")))
        everywhere(world, "200 2")
        running.apply({})
        everywhere(world, "ConnectionRefusedError")
        running.apply(balanced(*ready("near1"), port=PORT + 10))
        everywhere(world, "200 1", PORT + 10)
        assert {status(world, address) for address in NODE.both} == {"ConnectionRefusedError"}


@BOTH
def test_row_058_and_row_096_only_ready_endpoints_of_this_node_count(world: Topology, started: Started, proxy: str) -> None:
    with started(proxy) as running:
        running.apply(balanced(Endpoint("near1"), Endpoint("far1")))
        everywhere(world, "200 1")
        running.apply(balanced(Endpoint("near1", DRAINING), Endpoint("far1")))
        everywhere(world, "503 0")
        running.apply(balanced(Endpoint("near1", DRAINING), Endpoint("near2")))
        everywhere(world, "200 1")


@BOTH
def test_row_095_the_port_comes_and_goes_with_policy_local(world: Topology, started: Started, proxy: str) -> None:
    cluster: dict[str, Any] = {"externalTrafficPolicy": "Cluster", "healthCheckNodePort": None}
    with started(proxy) as running:
        running.apply(balanced(*ready("near1")))
        everywhere(world, "200 1")
        running.apply(balanced(*ready("near1"), **cluster))
        everywhere(world, "ConnectionRefusedError")
        running.apply(balanced(*ready("near1")))
        everywhere(world, "200 1")


@BOTH
@pytest.mark.parametrize("started", ["node-port-cidrs"], indirect=True)
def test_row_131_servers_listen_on_the_addresses_of_node_ports(world: Topology, started: Started, proxy: str) -> None:
    with started(proxy) as running:
        running.apply(balanced(*ready("near1")))
        everywhere(world, "200 1")
        everywhere(world, "200 1", addresses=NODE_ALTERNATIVE)
        assert status(world, "192.168.52.1") == "ConnectionRefusedError"


@BOTH
def test_row_131_other_addresses_have_no_servers(world: Topology, started: Started, proxy: str) -> None:
    with started(proxy) as running:
        running.apply(balanced(*ready("near1")))
        everywhere(world, "200 1")
        assert {status(world, address) for address in NODE_ALTERNATIVE.both} == {"ConnectionRefusedError"}


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
