"""What a Service port has in the kernel, by its addresses, policies and endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.agent.dataplane.nftables.frontends import frontends, ip, network

from proxyconfig_agent.dataplane.ipvs.lower import Share, lower
from proxyconfig_agent.dataplane.ipvs.model import maps
from proxyconfig_agent.dataplane.ipvs.model.servers import TAG, is_ours, scheduling_of
from proxyconfig_agent.dataplane.port import Ipvs, Settings
from proxyconfig_agent.dataplane.tables.model import address_sets
from proxyconfig_agent.dataplane.tables.model.elements import comment_of, value_of
from proxyconfig_agent.ingest.model import Policy, Protocol, text_of
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.select.frontends import Frontends

NEAR, FAR = "10.244.0.1:8080", "10.244.1.1:8080"
LOCAL: Mapping[str, Any] = {"external_policy": Policy.LOCAL, "node_port": 30080}
INSIDE: Mapping[str, Any] = {"internal_policy": Policy.LOCAL}
CLUSTER_IP, CLUSTER_LIST, LOCAL_LIST = "10.96.0.10:80", "242.96.0.10:80", "250.96.0.10:80"


def lowered(port: Frontends) -> Share:
    return lower(port, Settings())


def servers_of(share: Share) -> dict[str, set[str]]:
    """`address:port` of each virtual server, and of its destinations."""
    return {
        f"{text_of(server.address)}:{server.port}": {f"{text_of(each.address)}:{each.port}" for each in has.destinations}  # type: ignore[arg-type]
        for server, has in share.servers.items()
    }


def leads_of(share: Share) -> dict[str, str]:
    """Where each map leads to."""
    leads = {}
    for name, elements in share.elements.items():
        for tail in elements.values():
            if octets := value_of(tail):
                leads[name] = f"{text_of(octets[:4])}:{int.from_bytes(octets[4:6])}"  # type: ignore[arg-type]
    return leads


@pytest.mark.parametrize(
    ("port", "servers", "leads"),
    [
        pytest.param(frontends(cluster=(NEAR, FAR)), {CLUSTER_IP: {NEAR, FAR}}, {}, id="a-cluster-ip-is-a-virtual-server-itself"),
        pytest.param(
            frontends(cluster=(NEAR, FAR), node_port=30080),
            {CLUSTER_IP: {NEAR, FAR}},
            {maps.NODEPORTS: CLUSTER_IP},
            id="a-nodeport-leads-to-it",
        ),
        pytest.param(
            frontends(cluster=(NEAR, FAR), local=(NEAR,), **LOCAL),
            {CLUSTER_IP: {NEAR, FAR}, LOCAL_LIST: {NEAR}},
            {maps.SHORT_CIRCUIT_NODEPORTS: CLUSTER_IP, maps.LOCAL_NODEPORTS: LOCAL_LIST},
            id="external-policy-local-has-one-more-for-outside",
        ),
        pytest.param(
            frontends(cluster=(FAR,), **LOCAL),
            {CLUSTER_IP: {FAR}},
            {maps.SHORT_CIRCUIT_NODEPORTS: CLUSTER_IP},
            id="external-policy-local-without-local-endpoints",
        ),
        pytest.param(
            frontends(cluster=(NEAR, FAR), local=(NEAR,), node_port=30080, **INSIDE),
            {CLUSTER_IP: {NEAR}, CLUSTER_LIST: {NEAR, FAR}},
            {maps.NODEPORTS: CLUSTER_LIST},
            id="internal-policy-local-has-one-more-for-external-addresses",
        ),
        pytest.param(
            frontends(cluster=(NEAR, FAR), local=(NEAR,), **LOCAL, **INSIDE),
            {CLUSTER_IP: {NEAR}, CLUSTER_LIST: {NEAR, FAR}},
            {maps.SHORT_CIRCUIT_NODEPORTS: CLUSTER_LIST, maps.LOCAL_NODEPORTS: CLUSTER_IP},
            id="both-policies-local",
        ),
        pytest.param(
            replace(frontends(cluster=(NEAR, FAR), local=(NEAR,), external_ips=(ip("10.96.0.10"),), **LOCAL), cluster_ip=None),
            {CLUSTER_LIST: {NEAR, FAR}, LOCAL_LIST: {NEAR}},
            {
                maps.SHORT_CIRCUIT: CLUSTER_LIST,
                maps.LOCAL_SERVICES: LOCAL_LIST,
                maps.SHORT_CIRCUIT_NODEPORTS: CLUSTER_LIST,
                maps.LOCAL_NODEPORTS: LOCAL_LIST,
            },
            id="without-a-cluster-ip-both-are-private",
        ),
        pytest.param(frontends(node_port=30080), {}, {}, id="without-endpoints-there-is-none"),
    ],
)
def test_virtual_servers_and_what_leads_to_them(port: Frontends, servers: dict[str, set[str]], leads: dict[str, str]) -> None:
    share = lowered(port)

    assert servers_of(share) == servers
    assert leads_of(share) == leads
    assert {text_of(address) for address in share.addresses} == {server.partition(":")[0] for server in servers} | (
        {"10.96.0.10"} if port.cluster_ip else set()
    )


@pytest.mark.parametrize(
    ("port", "names"),
    [
        pytest.param(frontends(cluster=(NEAR,)), {maps.CLUSTER_PORTS}, id="served"),
        pytest.param(
            frontends(node_port=30080), {address_sets.NO_ENDPOINTS, address_sets.NO_ENDPOINTS_NODEPORTS}, id="no-endpoints-at-all"
        ),
        pytest.param(frontends(reachable=True, **INSIDE), {address_sets.NO_LOCAL}, id="internal-policy-local-without-local-ones"),
        pytest.param(
            frontends(cluster=(FAR,), **LOCAL),
            {maps.CLUSTER_PORTS, maps.SHORT_CIRCUIT_NODEPORTS, address_sets.NO_LOCAL_NODEPORTS},
            id="external-policy-local-without-local-ones",
        ),
        pytest.param(
            frontends(cluster=(FAR,), load_balancer_ips=(ip("203.0.113.1"),), source_ranges=(network("192.0.2.0/24"),)),
            {maps.CLUSTER_PORTS, maps.SERVICES, address_sets.FIREWALL_IPS, address_sets.SOURCE_RANGES},
            id="source-ranges",
        ),
    ],
)
def test_elements_say_what_becomes_of_each_address(port: Frontends, names: set[str]) -> None:
    assert set(lowered(port).elements) == names


def test_elements_name_the_service_port() -> None:
    for elements in lowered(frontends(cluster=(NEAR,), node_port=30080)).elements.values():
        assert [comment_of(tail) for tail in elements.values()] == ["shop/web:http"]


def test_a_cluster_ip_among_the_external_addresses_stays_one() -> None:
    share = lowered(frontends(cluster=(NEAR,), external_ips=(ip("10.96.0.10"), ip("203.0.113.1"))))
    assert [key[:4] for key in share.elements[maps.SERVICES]] == [ip("203.0.113.1")]


def test_session_affinity_is_persistence() -> None:
    (server,) = lowered(frontends(cluster=(NEAR,), affinity_s=10800)).servers.values()
    assert server.scheduling.flags == TAG | uapi.IP_VS_SVC_F_PERSISTENT
    assert server.scheduling.timeout_s == 10800


@pytest.mark.parametrize(("scheduler", "bits"), [("lc", 0), ("mh", uapi.IP_VS_SVC_F_SCHED_MH_PORT)])
def test_the_scheduler_is_that_of_the_settings(scheduler: str, bits: int) -> None:
    share = lower(frontends(cluster=(NEAR,)), Settings(ipvs=Ipvs(scheduler=scheduler)))
    (server,) = share.servers.values()
    assert (server.scheduling.scheduler, server.scheduling.flags) == (scheduler, TAG | bits)


@pytest.mark.parametrize(("lacking", "has"), [((), "sh"), (("sh",), "lc")])
def test_a_service_has_its_own_scheduler_where_the_kernel_has_it(lacking: tuple[str, ...], has: str) -> None:
    share = lower(frontends(cluster=(NEAR,), scheduler="sh"), Settings(ipvs=Ipvs(scheduler="lc")), lacking)
    assert [server.scheduling.scheduler for server in share.servers.values()] == [has]


def test_virtual_servers_are_told_by_their_mark() -> None:
    ours = scheduling_of("rr", 60)
    assert is_ours(ours)
    assert not is_ours(ours._replace(flags=uapi.IP_VS_SVC_F_PERSISTENT))


@pytest.mark.parametrize("protocol", Protocol)
def test_protocols_are_apart(protocol: Protocol) -> None:
    assert {server.protocol for server in lowered(frontends(cluster=(NEAR,), protocol=protocol)).servers} == {protocol}


def test_endpoints_of_the_node_need_hairpin_masquerading() -> None:
    assert lowered(frontends(cluster=(NEAR,), on_node=(ip("10.244.0.1"),))).on_node == (ip("10.244.0.1"),)
