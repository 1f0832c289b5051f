"""What a Service port has in the rules and in the proxy's table, and what a change of it sends."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.agent.dataplane.nftables.frontends import frontends, ip

from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.dataplane.tables.model import address_sets
from proxyconfig_agent.dataplane.tables.model.elements import chain_of
from proxyconfig_agent.dataplane.userspace.lower import lower
from proxyconfig_agent.dataplane.userspace.model import maps
from proxyconfig_agent.dataplane.userspace.table.state import FamilyState
from proxyconfig_agent.ingest.model import Family, Policy, Protocol
from proxyconfig_agent.select.frontends import Frontends

FAR, NEAR = "10.244.1.1:8080", "10.244.0.1:8080"
EXTERNAL: dict[str, Any] = {"external_ips": (ip("192.168.60.1"),), "node_port": 30080}
BY_LOCAL = {**EXTERNAL, "external_policy": Policy.LOCAL}


def ways(port: Frontends) -> dict[str, set[str]]:
    """By set or map: the chains that elements lead to; of sets an empty word."""
    elements = lower(port, Settings()).elements
    return {name: {chain_of(tail) for tail in some.values()} for name, some in elements.items() if some}


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        pytest.param(frontends(cluster=(FAR,)), {maps.SERVICES: {"cluster"}}, id="cluster-ip"),
        pytest.param(frontends(), {address_sets.NO_ENDPOINTS: {""}}, id="no-endpoints"),
        pytest.param(
            frontends(internal_policy=Policy.LOCAL, local=(NEAR,)), {maps.SERVICES: {"local"}}, id="internal-local"
        ),
        pytest.param(
            frontends(internal_policy=Policy.LOCAL, reachable=True), {address_sets.NO_LOCAL: {""}}, id="internal-local-elsewhere"
        ),
        pytest.param(
            frontends(cluster=(FAR,), **EXTERNAL), {maps.SERVICES: {"cluster"}, maps.NODEPORTS: {"cluster"}}, id="external"
        ),
        pytest.param(
            frontends(cluster=(FAR, NEAR), local=(NEAR,), **BY_LOCAL),
            {maps.SERVICES: {"cluster", "external-local"}, maps.NODEPORTS: {"external-local"}},
            id="external-local",
        ),
        pytest.param(
            frontends(cluster=(FAR,), **BY_LOCAL),
            {
                maps.SERVICES: {"cluster", "short-circuit"},
                maps.NODEPORTS: {"short-circuit"},
                address_sets.NO_LOCAL: {""},
                address_sets.NO_LOCAL_NODEPORTS: {""},
            },
            id="external-local-elsewhere",
        ),
        pytest.param(
            frontends(cluster=(FAR,), protocol=Protocol.SCTP, **EXTERNAL),
            {address_sets.NO_ENDPOINTS: {""}, address_sets.NO_ENDPOINTS_NODEPORTS: {""}},
            id="sctp",
        ),
    ],
)  # fmt: skip
def test_who_may_reach_which_endpoints_is_decided_by_the_rules(port: Frontends, expected: dict[str, set[str]]) -> None:
    assert ways(port) == expected


def test_the_proxy_is_told_addresses_and_the_lists_that_are_in_use() -> None:
    share = lower(frontends(cluster=(FAR, NEAR), local=(NEAR,), affinity_s=10, **BY_LOCAL), Settings())
    assert share.route is not None
    assert len(share.route.destinations) == 2
    assert (len(share.route.cluster), len(share.route.local)) == (12, 6)
    assert (share.route.node_port, share.route.affinity_s) == (30080, 10)
    assert lower(frontends(cluster=(FAR,), protocol=Protocol.SCTP), Settings()).route is None
    assert lower(frontends(), Settings()).route is None


def test_a_change_sends_as_much_as_has_changed() -> None:
    state = FamilyState(Family.IPV4, Settings())
    one, other = frontends(cluster=(FAR,), **EXTERNAL), frontends(cluster=(FAR, NEAR), **EXTERNAL)
    first = state.plan({one.name: one})
    state.keep(first)
    assert len(first.elements) == 4
    assert not state.plan({one.name: one})
    endpoint = state.plan({one.name: other})
    assert (len(endpoint.elements), len(endpoint.routes)) == (0, 1)
    gone = state.plan({one.name: None})
    assert gone.elements.deleted == first.elements.added
    assert list(gone.routes.values()) == [None]


def test_a_cluster_ip_stays_until_its_last_port_goes() -> None:
    state = FamilyState(Family.IPV4, Settings())
    ports = [frontends(cluster=(FAR,), port_name=name, port=port) for name, port in (("http", 80), ("https", 443))]
    both = state.plan({port.name: port for port in ports})
    state.keep(both)
    assert len(both.elements.added[address_sets.CLUSTER_IPS]) == 1
    one = state.plan({ports[0].name: None})
    assert address_sets.CLUSTER_IPS not in one.elements.deleted
    state.keep(one)
    assert len(state.plan({ports[1].name: None}).elements.deleted[address_sets.CLUSTER_IPS]) == 1


def test_ports_that_the_proxy_does_not_have_are_remembered_by_service() -> None:
    state = FamilyState(Family.IPV4, Settings())
    sctp = frontends(cluster=(FAR,), protocol=Protocol.SCTP)
    state.keep(state.plan({sctp.name: sctp}))
    assert state.unserved.of(sctp.name.service) == {sctp.name}
    state.keep(state.plan({sctp.name: None}))
    assert not state.unserved.of(sctp.name.service)
