"""What a Service port puts into the shared sets, by its addresses, policies and endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.unit.agent.dataplane.nftables.frontends import backends, frontends, ip, network

from proxyconfig_agent.dataplane.nftables.lower import Numbers, lower, picks_of
from proxyconfig_agent.dataplane.nftables.model import sets
from proxyconfig_agent.dataplane.nftables.model.endpoint_chains import EndpointChain
from proxyconfig_agent.dataplane.nftables.model.service_mark import EXTERNAL, EXTERNAL_LOCAL, LOCAL_LIST, id_in, low_in
from proxyconfig_agent.dataplane.tables.model import address_sets
from proxyconfig_agent.dataplane.tables.model.address_elements import protocol_and_port
from proxyconfig_agent.dataplane.tables.model.elements import comment_of, value_of
from proxyconfig_agent.dataplane.tables.model.ruleset import Elements
from proxyconfig_agent.ingest.model import Policy, Protocol
from proxyconfig_agent.select.frontends import Frontends

NEAR, FAR = "10.244.0.1:8080", "10.244.1.1:8080"
CODES: Mapping[EndpointChain, int] = {
    EndpointChain(count, local, timeout): 10 + 10 * count + 2 * local + (timeout > 0)
    for count in (1, 2)
    for local in (False, True)
    for timeout in (0, 60)
}
LOCAL_EXTERNAL: Mapping[str, Any] = {"external_policy": Policy.LOCAL, "node_port": 30080}


def lowered(port: Frontends, *node_addresses: str) -> Elements:
    step = port.family.size + 2
    packed = port.cluster + port.local
    slots = {packed[at : at + step]: 1 + at // step for at in range(0, len(packed), step)}
    return {name: elements for name, elements in lower(port, Numbers(7, CODES, slots), tuple(map(ip, node_addresses))).items() if elements}


def class_of(elements: Elements, name: str) -> int:
    (tail,) = elements[name].values()
    assert id_in(value_of(tail)) == 7
    return low_in(value_of(tail))


@pytest.mark.parametrize(
    ("port", "present"),
    [
        pytest.param(frontends(), {address_sets.CLUSTER_IPS, address_sets.NO_ENDPOINTS}, id="without-endpoints-it-rejects"),
        pytest.param(frontends(cluster=(FAR,)), {address_sets.CLUSTER_IPS, sets.SERVICES, sets.ENDPOINTS}, id="cluster-ip"),
        pytest.param(
            frontends(node_port=30080),
            {address_sets.CLUSTER_IPS, address_sets.NO_ENDPOINTS, address_sets.NO_ENDPOINTS_NODEPORTS},
            id="a-nodeport-without-endpoints-rejects",
        ),
        pytest.param(
            frontends(cluster=(FAR,), node_port=30080),
            {address_sets.CLUSTER_IPS, sets.SERVICES, sets.NODEPORTS, sets.CLUSTER_LISTS, sets.ENDPOINTS},
            id="nodeport",
        ),
        pytest.param(
            frontends(cluster=(NEAR, FAR), local=(NEAR,), **LOCAL_EXTERNAL),
            {address_sets.CLUSTER_IPS, sets.SERVICES, sets.NODEPORTS, sets.CLUSTER_LISTS, sets.LOCAL_LISTS, sets.ENDPOINTS},
            id="external-policy-local",
        ),
        pytest.param(
            frontends(cluster=(FAR,), **LOCAL_EXTERNAL),
            {address_sets.CLUSTER_IPS, sets.SERVICES, sets.NODEPORTS, address_sets.NO_LOCAL_NODEPORTS, sets.CLUSTER_LISTS, sets.ENDPOINTS},
            id="external-policy-local-without-local-drops-and-short-circuits",
        ),
        pytest.param(
            frontends(local=(NEAR,), internal_policy=Policy.LOCAL),
            {address_sets.CLUSTER_IPS, sets.SERVICES, sets.ENDPOINTS},
            id="internal-policy-local",
        ),
        pytest.param(
            frontends(reachable=True, internal_policy=Policy.LOCAL),
            {address_sets.CLUSTER_IPS, address_sets.NO_LOCAL},
            id="internal-policy-local-without-local-drops",
        ),
        pytest.param(
            frontends(cluster=(FAR,), affinity_s=60),
            {address_sets.CLUSTER_IPS, sets.SERVICES, sets.STICKY_LISTS, sets.STICKY_ENDPOINTS},
            id="session-affinity",
        ),
        pytest.param(
            frontends(cluster=(FAR,), local=(NEAR,), affinity_s=60, **LOCAL_EXTERNAL),
            {
                address_sets.CLUSTER_IPS,
                sets.SERVICES,
                sets.NODEPORTS,
                sets.CLUSTER_LISTS,
                sets.LOCAL_LISTS,
                sets.STICKY_LISTS,
                sets.STICKY_ENDPOINTS,
                sets.STICKY_LOCAL_ENDPOINTS,
            },
            id="session-affinity-and-external-policy-local",
        ),
        pytest.param(
            frontends(load_balancer_ips=(ip("192.0.2.1"),), source_ranges=(network("10.0.0.0/8"),)),
            {address_sets.CLUSTER_IPS, address_sets.NO_ENDPOINTS, address_sets.FIREWALL_IPS, address_sets.SOURCE_RANGES},
            id="source-ranges-hold-without-endpoints-too",
        ),
        pytest.param(
            frontends(cluster=(NEAR,), on_node=(ip("10.244.0.1"),)),
            {address_sets.CLUSTER_IPS, sets.SERVICES, sets.ENDPOINTS, address_sets.HAIRPIN},
            id="hairpin",
        ),
    ],
)
def test_a_service_port_is_in_exactly_these_sets(port: Frontends, present: set[str]) -> None:
    assert set(lowered(port)) == present


def test_a_cluster_ip_goes_straight_to_the_chain_that_picks() -> None:
    assert class_of(lowered(frontends(cluster=(NEAR, FAR))), sets.SERVICES) == CODES[EndpointChain(2)]


def test_a_cluster_ip_with_policy_local_goes_to_the_chain_of_the_local_list() -> None:
    port = frontends(cluster=(NEAR, FAR), local=(NEAR,), internal_policy=Policy.LOCAL, node_port=30080)
    assert class_of(lowered(port), sets.SERVICES) == CODES[EndpointChain(1, local=True)]


@pytest.mark.parametrize(("policy", "expected"), [(Policy.CLUSTER, EXTERNAL), (Policy.LOCAL, EXTERNAL_LOCAL)])
def test_an_external_address_goes_through_the_chain_of_its_policy(policy: Policy, expected: int) -> None:
    elements = lowered(frontends(cluster=(FAR,), external_policy=policy, external_ips=(ip("192.0.2.9"),)))
    key = ip("192.0.2.9") + protocol_and_port(Protocol.TCP, 80)
    assert low_in(value_of(elements[sets.SERVICES][key])) == expected


def test_both_lists_stand_in_one_map_the_local_one_behind() -> None:
    endpoints = lowered(frontends(cluster=(NEAR, FAR), local=(NEAR,), **LOCAL_EXTERNAL))[sets.ENDPOINTS]
    assert {int.from_bytes(key[4:], "little") for key in endpoints} == {0, 1, LOCAL_LIST}


def test_elements_name_their_service_port() -> None:
    elements = lowered(frontends(cluster=(FAR,), node_port=30080))
    assert {comment_of(tail) for name in (sets.SERVICES, sets.NODEPORTS) for tail in elements[name].values()} == {"shop/web:http"}


def test_an_address_given_twice_is_one_element() -> None:
    same = ip("192.0.2.1")
    elements = lowered(frontends(cluster=(FAR,), external_ips=(same,), load_balancer_ips=(same,)))
    assert len(elements[sets.SERVICES]) == 2


def test_a_cluster_ip_among_the_external_ips_stays_a_cluster_ip() -> None:
    elements = lowered(frontends(cluster=(FAR,), external_ips=(ip("10.96.0.10"),)))
    assert class_of(elements, sets.SERVICES) == CODES[EndpointChain(1)]


def test_source_ranges_that_overlap_are_one() -> None:
    ranges = (network("10.0.0.0/8"), network("10.1.0.0/16"), network("11.0.0.0/8"), network("192.0.2.0/24"))
    elements = lowered(frontends(load_balancer_ips=(ip("192.0.2.1"),), source_ranges=ranges))
    assert sorted(key[-4:] for key in elements[address_sets.SOURCE_RANGES]) == [ip("10.0.0.0"), ip("192.0.2.0")]


def test_a_range_that_holds_the_node_admits_the_vip_itself() -> None:
    port = frontends(load_balancer_ips=(ip("192.0.2.1"),), source_ranges=(network("10.0.0.0/8"),))
    with_node = lowered(port, "10.1.2.3")[address_sets.SOURCE_RANGES]
    without = lowered(port, "172.16.0.1")[address_sets.SOURCE_RANGES]
    assert {key[-4:] for key in with_node.keys() - without.keys()} == {ip("192.0.2.1")}


def test_ipv6_has_longer_keys_and_the_same_sets() -> None:
    port = frontends(cluster_ip="fd00:96::1", cluster=("[fd00::1]:80",))
    assert {name: len(next(iter(elements))) for name, elements in lowered(port).items()} == {
        address_sets.CLUSTER_IPS: 16,
        sets.SERVICES: 24,
        sets.ENDPOINTS: 8,
    }


def test_an_unused_list_is_not_programmed() -> None:
    port = frontends(cluster=(FAR,), local=(NEAR,))
    assert [pick.endpoints for pick in picks_of(port)] == [1, 0]
    assert len(lowered(port)[sets.ENDPOINTS]) == len(backends(FAR)) // 6
