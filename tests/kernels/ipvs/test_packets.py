"""Real packets through virtual servers and the rules around them: the core of what they mean. The whole table of behaviour is in
`tests/support/scenarios`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace
from tests.kernel.in_namespace import Entered
from tests.kernels.ipvs.packets import FAMILIES, SETTINGS, TALKING, Served, endpoint, public_ip, service, service_ip
from tests.support.netns.topology import NODE, NODE_GATEWAYS, OUTSIDE, PODS
from tests.support.polling import eventually
from tests.unit.agent.dataplane.nftables.frontends import ip, network

from proxyconfig_agent.dataplane.ipvs.ipvs import Ipvs
from proxyconfig_agent.dataplane.port import Change
from proxyconfig_agent.dataplane.port import Ipvs as IpvsSettings
from proxyconfig_agent.ingest.model import Policy, Protocol

LOCAL: dict[str, Any] = {"external_policy": Policy.LOCAL}


@pytest.fixture
def dataplane(world: Served) -> Iterator[Entered]:
    made = Entered(world.topology.node, Ipvs)
    yield made
    made.remove()
    assert made.scan() == []
    made.close()


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("family", FAMILIES)
def test_packets_go_where_the_service_says(dataplane: Entered, world: Served, family: int, protocol: str) -> None:
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
        return world.asked(client, address, port, protocol)

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
    assert world.silence("outside", public_ip(family, 4), protocol) == {"DROP"}
    for client in ("client", "outside"):
        assert set(ask(client, service_ip(family, 5))) == {"REJECT"}
        assert set(ask(client, service_ip(family, 1), 9999)) == {"REJECT"}
    assert set(ask("near1", service_ip(family, 6))["near1"]) <= gateways


@pytest.mark.parametrize("family", FAMILIES)
def test_the_node_itself_is_served_where_addresses_are_on_a_link(dataplane: Entered, world: Served, family: int) -> None:
    far = service(family, 1, "far1", external_ips=(ip(public_ip(family, 1)),))
    dataplane.resync(replace(SETTINGS, ipvs=IpvsSettings(binds_addresses=True)), [far])
    for address in (service_ip(family, 1), public_ip(family, 1)):
        for client in ("node", "client", "outside"):
            assert set(world.asked(client, address)) == {"far1"}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_private_virtual_server_is_reached_by_no_other_way(dataplane: Entered, world: Served, family: int) -> None:
    near = endpoint("near1", family)
    dataplane.resync(SETTINGS, [service(family, 1, "near1", "far1", local=(near,), node_port=30001, **LOCAL)])
    private = "250.96.0.1" if family == 4 else "100::8000:0:0:1"
    for client in ("client", "node"):
        assert world.silence(client, private) <= {"DROP", "ERROR"}


@pytest.mark.parametrize("family", FAMILIES)
def test_source_ranges_protect_load_balancers(dataplane: Entered, world: Served, family: int) -> None:
    admitted = network(f"{OUTSIDE[family]}/{32 if family == 4 else 128}")
    dataplane.resync(SETTINGS, [service(family, 1, "far1", load_balancer_ips=(ip(public_ip(family, 1)),), source_ranges=(admitted,))])
    assert set(world.asked("outside", public_ip(family, 1))) == {"far1"}
    assert world.silence("client", public_ip(family, 1)) == {"DROP"}
    assert set(world.asked("client", service_ip(family, 1))) == {"far1"}


@pytest.mark.parametrize("family", FAMILIES)
def test_an_external_address_that_the_node_has_is_served_and_stays(dataplane: Entered, world: Served, family: int) -> None:
    external = service(family, 1, "near1", external_ips=(ip(NODE[family]),))
    dataplane.resync(SETTINGS, [external])
    for client in ("client", "outside", "node"):
        assert set(world.asked(client, NODE[family])) == {"near1"}
    dataplane.apply([Change(external, None)])
    assert set(world.asked("outside", NODE[family], 9999)) == {"host"}


@pytest.mark.parametrize("family", FAMILIES)
def test_session_affinity_is_shared_by_all_addresses(dataplane: Entered, world: Served, family: int) -> None:
    sticky = service(family, 1, "near1", "far1", affinity_s=600, external_ips=(ip(public_ip(family, 1)),))
    dataplane.resync(SETTINGS, [sticky])
    first = set(world.asked("client", service_ip(family, 1)))
    assert len(first) == 1
    assert set(world.asked("client", public_ip(family, 1))) == first


@pytest.mark.parametrize("family", FAMILIES)
def test_with_ovf_a_service_takes_more_connections_than_it_has_endpoints(dataplane: Entered, world: Served, family: int) -> None:
    full = service(family, 1, "near1", "far1", target=TALKING)
    dataplane.resync(SETTINGS, [full])
    dataplane.apply([Change(full, replace(full, scheduler="ovf"))])
    with contextlib.ExitStack() as connections:
        assert len({world.answer(connections.enter_context(world.connected(service_ip(family, 1)))) for _ in range(4)}) == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_connections_outlive_their_endpoint_and_their_service(world: Served, dataplane: Entered, family: int) -> None:
    near, far = (service(family, 1, pod, target=TALKING) for pod in ("near1", "far1"))
    dataplane.resync(SETTINGS, [near])
    with world.connected(service_ip(family, 1)) as long:
        dataplane.apply([Change(near, far)])
        with world.connected(service_ip(family, 1)) as new:
            assert world.answer(new) == "far1"
        dataplane.apply([Change(far, None)])
        assert world.silence("client", service_ip(family, 1)) == {"DROP"}
        assert world.answer(long) == "near1"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_service_that_changes_is_served_meanwhile(dataplane: Entered, world: Served, family: int) -> None:
    one = service(family, 1, "near1")
    dataplane.resync(SETTINGS, [one])
    flow = {"address": service_ip(family, 1), "port": 80, "for_s": 2, "enough": 1}
    world.probers["client"].send([flow])
    for _ in range(20):
        for old, new in ((one, service(family, 1, "far1")), (service(family, 1, "far1"), one)):
            dataplane.apply([Change(old, replace(new, on_node=()))])
    (answers,) = world.probers["client"].receive()
    assert {each.partition(" ")[0] for each in answers} <= {"near1", "far1"}


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_drained_goes(world: Served, family: int) -> None:
    passed = [0.0]
    dataplane = Entered(world.topology.node, lambda: Ipvs(now=lambda: passed[0]))
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
