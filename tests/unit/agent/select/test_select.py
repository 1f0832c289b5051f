from __future__ import annotations

import dataclasses
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.unit.agent.examples import NODE, draining, ip, piece, ready, service

from proxyconfig_agent.ingest import apitypes
from proxyconfig_agent.ingest.apitypes import Endpoint, FullMetadata
from proxyconfig_agent.ingest.endpointslices import EndpointSliceParser
from proxyconfig_agent.ingest.model import (
    EndpointSlice,
    Family,
    Network,
    NodeName,
    Policy,
    Protocol,
    Service,
    ServicePort,
    SlicePort,
    Traits,
)
from proxyconfig_agent.ingest.services import service_of
from proxyconfig_agent.select.frontends import count, split
from proxyconfig_agent.select.select import endpoints_of, select
from proxyconfig_agent.state.batch import changes_of
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.programmed import Programmed
from proxyconfig_agent.state.rejections import Rejections
from proxyconfig_agent.state.settlement import Settlement


def backends(of: Service, *slices: EndpointSlice) -> list[str]:
    return [f"{one.name}/{address[-1]}:{port}" for one in select(of, slices, NODE) for address, port in split(one.cluster, one.family)]


def test_row_7_the_target_port_is_the_slices() -> None:
    assert backends(service(), piece(("10.0.0.1", ready()))) == ["shop/web:http/1:8080"]


def test_row_8_protocols_of_the_same_port_are_independent() -> None:
    both = service(ports=(ServicePort("dns", Protocol.UDP, 53), ServicePort("dns-tcp", Protocol.TCP, 53)))
    udp = piece(("10.0.0.1", ready()), name="u", ports=(SlicePort("dns", Protocol.UDP, 5353),))
    assert backends(both, udp) == ["shop/web:dns/1:5353"]
    assert [one.reachable for one in select(both, [udp], NODE)] == [True, False]


def test_row_9_the_protocol_of_a_slice_port_has_to_match() -> None:
    assert backends(service(), piece(("10.0.0.1", ready()), ports=(SlicePort("http", Protocol.UDP, 8080),))) == []


def test_row_75_each_family_has_its_own_addresses() -> None:
    dual = service(
        cluster_ips=(ip("10.96.0.1"), ip("fd00::1")),
        external_ips=(ip("192.0.2.1"), ip("2001:db8::1")),
        load_balancer_ips=(ip("2001:db8::2"),),
    )
    four, six = select(dual, [piece(("10.0.0.1", ready()), name="4"), piece(("fd00:1::1", ready()), name="6")], NODE)
    assert (four.family, four.cluster_ip, four.external_ips, four.load_balancer_ips) == (
        Family.IPV4,
        ip("10.96.0.1"),
        (ip("192.0.2.1"),),
        (),
    )
    assert (six.family, six.external_ips, six.load_balancer_ips) == (Family.IPV6, (ip("2001:db8::1"),), (ip("2001:db8::2"),))
    assert (count(four.cluster, four.family), count(six.cluster, six.family)) == (1, 1)


def test_row_76_a_service_of_one_family_does_not_exist_in_the_other() -> None:
    assert {one.family for one in select(service(), [piece(("fd00:1::1", ready()))], NODE)} == {Family.IPV4}


@pytest.mark.parametrize(
    ("address", "node", "here"),
    [
        pytest.param("10.1.0.7", "virtual-node-7", True, id="in-a-pod-network"),
        pytest.param("10.1.16.7", "virtual-node-7", False, id="beside-it"),
        pytest.param("10.9.0.7", "virtual-node-7", False, id="elsewhere"),
        pytest.param("10.9.0.7", "here", True, id="by-name"),
        pytest.param("10.9.0.7", None, True, id="of-no-node"),
        pytest.param("fd00:1::7", "virtual-node-7", True, id="ipv6"),
        pytest.param("a01::7", "virtual-node-7", False, id="octets-of-another-family"),
    ],
)
def test_addresses_in_the_nodes_pod_networks_may_be_its_own_whatever_node_they_name(address: str, node: str | None, here: bool) -> None:
    of_node = replace(NODE, pod_cidrs=(Network(ip("10.1.0.0"), 20), Network(ip("fd00:1::"), 64)))
    cluster_ip = "fd00:96::1" if ":" in address else "10.96.0.10"
    (frontends,) = select(service(cluster_ip=cluster_ip), [piece((address, ready(node)))], of_node)
    assert frontends.on_node == ((ip(address),) if here else ())


def test_row_82_slices_are_united_without_duplicates() -> None:
    one = piece(("10.0.0.1", ready()), ("10.0.0.2", ready()), name="a")
    other = piece(("10.0.0.2", ready()), ("10.0.0.3", ready()), name="b")
    assert backends(service(), other, one) == ["shop/web:http/1:8080", "shop/web:http/2:8080", "shop/web:http/3:8080"]


def test_row_82_of_duplicates_the_one_that_is_not_terminating_wins_in_any_order() -> None:
    gone = piece(("10.0.0.1", draining("here")), name="a")
    new = piece(("10.0.0.1", ready("here")), name="b")
    for first, second in ((gone, new), (dataclasses.replace(new, name="a"), dataclasses.replace(gone, name="b"))):
        (one,) = select(service(internal_policy=Policy.LOCAL), [first, second], NODE)
        assert count(one.local, one.family) == 1


def test_row_86_several_ports_in_several_slices_are_all_served() -> None:
    two = service(ports=(ServicePort("http", Protocol.TCP, 80), ServicePort("admin", Protocol.TCP, 81)))
    slices = [
        piece(("10.0.0.1", ready()), name="a", ports=(SlicePort("http", Protocol.TCP, 8080),)),
        piece(("10.0.0.2", ready()), name="b", ports=(SlicePort("http", Protocol.TCP, 8080), SlicePort("admin", Protocol.TCP, 9090))),
    ]
    assert backends(two, *slices) == ["shop/web:http/1:8080", "shop/web:http/2:8080", "shop/web:admin/2:9090"]


def test_row_87_a_named_target_port_may_differ_by_endpoint() -> None:
    slices = [
        piece(("10.0.0.1", ready()), name="a", ports=(SlicePort("http", Protocol.TCP, 8080),)),
        piece(("10.0.0.2", ready()), name="b", ports=(SlicePort("http", Protocol.TCP, 9090),)),
    ]
    assert backends(service(), *slices) == ["shop/web:http/1:8080", "shop/web:http/2:9090"]


_traits = st.builds(
    Traits,
    ready=st.booleans(),
    serving=st.booleans(),
    terminating=st.booleans(),
    node=st.sampled_from([None, NodeName("here"), NodeName("there")]),
    zone_hints=st.frozensets(st.sampled_from("ab"), max_size=2),
    node_hints=st.frozensets(st.sampled_from([NodeName("here"), NodeName("there")]), max_size=1),
)
_pieces = st.builds(
    lambda endpoints, name: piece(*((f"10.0.0.{number}", traits) for number, traits in endpoints), name=name),
    st.lists(st.tuples(st.integers(1, 9), _traits), max_size=6),
    st.sampled_from("xyz"),
)
_services = st.builds(
    lambda internal, external, accessible: service(internal_policy=internal, external_policy=external, externally_accessible=accessible),
    st.sampled_from(Policy),
    st.sampled_from(Policy),
    st.booleans(),
)
_slices = st.lists(_pieces, max_size=3, unique_by=lambda each: each.name)


@given(_services, _slices)
def test_the_order_of_slices_changes_nothing(of: Service, slices: list[EndpointSlice]) -> None:
    assert select(of, slices, NODE) == select(of, slices[::-1], NODE)


@given(_services, _slices)
def test_backends_are_sorted_unique_and_reachable(of: Service, slices: list[EndpointSlice]) -> None:
    for one in select(of, slices, NODE):
        for backends in (split(one.cluster, one.family), split(one.local, one.family)):
            assert backends == sorted(set(backends))
            assert one.reachable or not backends
        assert {address for address, _ in split(one.local, one.family)} <= set(one.on_node)


@given(_services, _slices)
def test_some_ready_endpoint_is_always_used_where_there_is_one(of: Service, slices: list[EndpointSlice]) -> None:
    ordered = sorted(slices, key=lambda each: each.name)
    anything_ready = any(traits.ready for traits in endpoints_of(ordered, of.ports[0]).values())  # an address may be there several times
    for one in select(of, slices, NODE):
        uses_cluster = one.internal_policy is Policy.CLUSTER or of.externally_accessible
        if anything_ready:
            assert one.reachable
            assert bool(one.cluster) == uses_cluster


def test_memory_per_endpoint_is_bounded() -> None:
    """5,000 Services × 10 endpoints as they come from the API, with what is programmed for them."""
    services, endpoints = 5000, 10
    slices = EndpointSliceParser()
    tracemalloc.start()
    try:
        cluster = ClusterState(NODE)
        for number in range(services):
            metadata = FullMetadata(name=f"service-{number:05}", namespace="default", uid=f"{number:036}")
            spec = apitypes.ServiceSpec(cluster_ip=f"10.96.{number >> 8}.{number & 255}", ports=[apitypes.ServicePort(80, name="http")])
            made = service_of(apitypes.Service(metadata, spec))
            assert made is not None
            cluster.put_service(made)
            labels = {"kubernetes.io/service-name": metadata.name}
            found = [Endpoint(addresses=[f"10.{number >> 8}.{number & 255}.{each}"], node_name=f"node-{each}") for each in range(endpoints)]
            ports = [apitypes.SlicePort(name="http", port=8080)]
            part = slices.slice_of(
                apitypes.EndpointSlice(
                    FullMetadata(name=f"{metadata.name}-abcde", namespace="default", labels=labels), "IPv4", found, ports
                )
            )
            assert part is not None
            cluster.put_slice(part)
        programmed = Programmed()
        list(Settlement(programmed, Rejections()).settle(changes_of(cluster.pending.take(), cluster.view(), programmed).wanted, ()))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert programmed.endpoints == services * endpoints
    assert held / (services * endpoints) < 200, f"{held / services:.0f} bytes per Service, {held / services / endpoints:.0f} per endpoint"
