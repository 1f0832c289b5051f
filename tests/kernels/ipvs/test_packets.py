"""Real packets through virtual servers and the rules around them: the core of what they mean. The whole table of behaviour is in
`tests/support/scenarios`."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.kernel.in_namespace import Entered
from tests.support.netns.peers import Prober, echoing, probing
from tests.support.netns.topology import NODE, NODE_GATEWAYS, OUTSIDE, POD_CIDR, PODS, PODS2, SERVICE_CIDR, Topology, topology
from tests.support.polling import eventually
from tests.unit.agent.dataplane.nftables.frontends import frontends, ip, network

from proxyconfig_agent.dataplane.ipvs.ipvs import Ipvs
from proxyconfig_agent.dataplane.ipvs.mode import NEEDED
from proxyconfig_agent.dataplane.port import Change, LocalTraffic, Settings
from proxyconfig_agent.ingest.model import Policy, Protocol
from proxyconfig_agent.select.frontends import Frontends

PORTS = (8080, 9090)
FAMILIES = (4, 6)
SETTINGS = Settings(
    local_traffic=LocalTraffic(cidrs=tuple(map(network, POD_CIDR.both))),
    node_port_addresses=tuple(map(ip, NODE.both)),
    node_addresses=tuple(map(ip, NODE.both)),
    service_cidrs=tuple(map(network, SERVICE_CIDR.both)),
)
LOCAL: dict[str, Any] = {"external_policy": Policy.LOCAL}


@pytest.fixture(scope="module")
def world() -> Iterator[Topology]:
    with topology() as made, contextlib.ExitStack() as servers:
        for pod, addresses in (("near1", PODS["near1"]), ("far1", PODS2["far1"])):
            servers.enter_context(echoing(made[pod], pod, addresses.both, PORTS))
        servers.enter_context(echoing(made.node, "host", NODE.both, (9999,)))
        made.node.sysctl(NEEDED)
        yield made


@pytest.fixture(scope="module")
def probers(world: Topology) -> Iterator[dict[str, Prober]]:
    with contextlib.ExitStack() as clients:
        yield {name: clients.enter_context(probing(world[name])) for name in ("client", "near1", "node", "outside")}


@pytest.fixture
def dataplane(world: Topology) -> Iterator[Entered]:
    made = Entered(world.node, Ipvs)
    yield made
    made.remove()
    assert made.scan() == []
    made.close()


def service_ip(family: int, number: int) -> str:
    return f"10.96.0.{number}" if family == 4 else f"fd00:10:96::{number}"


def public_ip(family: int, number: int) -> str:
    return f"192.168.60.{number}" if family == 4 else f"fd00:60::{number}"


def endpoint(pod: str, family: int, port: int = 8080) -> str:
    address = {**PODS, **PODS2}[pod][family]
    return f"{address}:{port}" if family == 4 else f"[{address}]:{port}"


def service(family: int, number: int, *pods: str, **fields: Any) -> Frontends:
    near = (ip(PODS["near1"][family]),) if "near1" in pods else ()
    return frontends(f"s{number}", service_ip(family, number), tuple(endpoint(pod, family) for pod in pods), on_node=near, **fields)


def asked(prober: Prober, address: str, port: int = 80, protocol: str = "tcp", attempts: int = 24) -> dict[str, set[str]]:
    """Who answers, and which clients it saw."""
    flow = {"address": address, "port": port, "protocol": protocol, "attempts": attempts, "enough": 9, "timeout_s": 2}
    found: dict[str, set[str]] = {}
    for answer in prober.ask([flow])[0]:
        name, _, rest = answer.partition(" ")
        found.setdefault(name, set()).add(rest.partition(" ")[0])
    return found


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("family", FAMILIES)
def test_packets_go_where_the_service_says(dataplane: Entered, probers: dict[str, Prober], family: int, protocol: str) -> None:
    number = Protocol[protocol.upper()]
    near, three = endpoint("near1", family), (ip(public_ip(family, 3)),)
    dataplane.resync(
        SETTINGS,
        [
            service(family, 1, "near1", "far1", protocol=number),
            service(family, 2, "far1", protocol=number, node_port=30002),
            service(family, 3, "near1", "far1", local=(near,), protocol=number, node_port=30003, external_ips=three, **LOCAL),
            service(family, 4, "far1", protocol=number, external_ips=(ip(public_ip(family, 4)),), **LOCAL),
            service(family, 5, protocol=number),
            service(family, 6, "near1", protocol=number),
        ],
    )
    pod, gateways = {PODS["client"][family]}, {gateway[family] for gateway in NODE_GATEWAYS}

    def ask(client: str, address: str, port: int = 80) -> dict[str, set[str]]:
        return asked(probers[client], address, port, protocol)

    assert ask("client", service_ip(family, 1)) == {"near1": pod, "far1": pod}
    assert set(ask("outside", service_ip(family, 1))) == {"near1", "far1"}
    assert set(ask("node", service_ip(family, 1))) == {"near1", "far1"}
    assert ask("outside", service_ip(family, 1))["far1"] <= gateways
    assert ask("outside", NODE[family], 30002)["far1"] <= gateways
    assert ask("client", NODE[family], 30002)["far1"] <= gateways
    assert set(ask("node", NODE[family], 30002)) == {"far1"}
    for address, port in ((public_ip(family, 3), 80), (NODE[family], 30003)):
        assert ask("outside", address, port) == {"near1": {OUTSIDE[family]}}
        assert ask("client", address, port) == {"near1": pod, "far1": pod}
        assert set(ask("node", address, port)) == {"near1", "far1"}
    assert ask("client", public_ip(family, 4)) == {"far1": pod}
    assert set(ask("outside", public_ip(family, 4))) == {"DROP"}
    for client in ("client", "outside"):
        assert set(ask(client, service_ip(family, 5))) == {"REJECT"}
        assert set(ask(client, service_ip(family, 1), 9999)) == {"REJECT"}
    assert set(ask("near1", service_ip(family, 6))["near1"]) <= gateways


@pytest.mark.parametrize("family", FAMILIES)
def test_a_private_virtual_server_is_reached_by_no_other_way(dataplane: Entered, probers: dict[str, Prober], family: int) -> None:
    near = endpoint("near1", family)
    dataplane.resync(SETTINGS, [service(family, 1, "near1", "far1", local=(near,), node_port=30001, **LOCAL)])
    private = "250.96.0.1" if family == 4 else "100::8000:0:0:1"
    for client in ("client", "node"):
        assert set(asked(probers[client], private)) <= {"DROP", "ERROR"}


@pytest.mark.parametrize("family", FAMILIES)
def test_source_ranges_protect_load_balancers(dataplane: Entered, probers: dict[str, Prober], family: int) -> None:
    admitted = network(f"{OUTSIDE[family]}/{32 if family == 4 else 128}")
    dataplane.resync(SETTINGS, [service(family, 1, "far1", load_balancer_ips=(ip(public_ip(family, 1)),), source_ranges=(admitted,))])
    assert set(asked(probers["outside"], public_ip(family, 1))) == {"far1"}
    assert set(asked(probers["client"], public_ip(family, 1))) == {"DROP"}
    assert set(asked(probers["client"], service_ip(family, 1))) == {"far1"}


@pytest.mark.parametrize("family", FAMILIES)
def test_session_affinity_is_shared_by_all_addresses(dataplane: Entered, probers: dict[str, Prober], family: int) -> None:
    sticky = service(family, 1, "near1", "far1", affinity_s=600, external_ips=(ip(public_ip(family, 1)),))
    dataplane.resync(SETTINGS, [sticky])
    first = set(asked(probers["client"], service_ip(family, 1)))
    assert len(first) == 1
    assert set(asked(probers["client"], public_ip(family, 1))) == first


@contextlib.contextmanager
def connected(world: Topology, address: str) -> Iterator[socket.socket]:
    """A connection of a pod that says nothing yet."""

    def connect() -> socket.socket:
        return socket.create_connection((address, 80), timeout=20)

    with world["client"].call(connect) as made:
        yield made


def answer(connection: socket.socket) -> str:
    """What the server says on a connection that was opened before."""
    connection.sendall(b"x")
    return connection.recv(100).decode().partition(" ")[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_connections_outlive_their_endpoint_and_their_service(
    world: Topology, dataplane: Entered, probers: dict[str, Prober], family: int
) -> None:
    near, far = service(family, 1, "near1"), service(family, 1, "far1")
    dataplane.resync(SETTINGS, [near])
    with connected(world, service_ip(family, 1)) as long:
        dataplane.apply([Change(near, far)])
        assert set(asked(probers["client"], service_ip(family, 1))) == {"far1"}
        dataplane.apply([Change(far, None)])
        assert set(asked(probers["client"], service_ip(family, 1))) == {"REJECT"}
        assert answer(long) == "near1"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_service_that_changes_is_served_meanwhile(dataplane: Entered, probers: dict[str, Prober], family: int) -> None:
    one = service(family, 1, "near1")
    dataplane.resync(SETTINGS, [one])
    flow = {"address": service_ip(family, 1), "port": 80, "for_s": 2, "enough": 1}
    probers["client"].send([flow])
    for _ in range(20):
        for old, new in ((one, service(family, 1, "far1")), (service(family, 1, "far1"), one)):
            dataplane.apply([Change(old, replace(new, on_node=()))])
    (answers,) = probers["client"].receive()
    assert {each.partition(" ")[0] for each in answers} <= {"near1", "far1"}


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_drained_goes(world: Topology, family: int) -> None:
    passed = [0.0]
    dataplane = Entered(world.node, lambda: Ipvs(now=lambda: passed[0]))
    near = service(family, 1, "near1")
    dataplane.resync(SETTINGS, [near])
    before = dataplane.scan()
    dataplane.apply([Change(near, None)])
    assert any(service_ip(family, 1) in line for line in dataplane.scan())

    def gone() -> bool:
        passed[0] += 60
        dataplane.disturbed()
        return not any(service_ip(family, 1) in line for line in dataplane.scan())

    eventually(gone)
    assert len(dataplane.scan()) < len(before)
    dataplane.remove()
    dataplane.close()
