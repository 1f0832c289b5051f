"""Which virtual servers are kube-proxy's."""

from __future__ import annotations

import pytest
from tests.unit.agent.dataplane.nftables.frontends import ip, network

from proxyconfig_agent.dataplane.ipvs.model.kube_proxy import SETS, Traces, made_by_kube_proxy
from proxyconfig_agent.ingest.model import Protocol
from proxyconfig_agent.netlink.ipvs.messages import VirtualServer

TRACES = Traces(
    bound=frozenset((ip("10.96.0.1"), ip("fd00::1"))),
    on_node=frozenset((ip("192.0.2.1"), ip("2001:db8::1"))),
    node_ports=frozenset(((Protocol.TCP, 30001),)),
)


def server(address: str, port: int = 80, protocol: Protocol = Protocol.TCP) -> VirtualServer:
    return VirtualServer(protocol, ip(address), port)


@pytest.mark.parametrize(
    ("one", "whose"),
    [
        pytest.param(server("10.96.0.1"), True, id="at an address of its link"),
        pytest.param(server("fd00::1", 53, Protocol.UDP), True, id="in IPv6"),
        pytest.param(server("10.96.0.2"), False, id="at an address that its link does not have"),
        pytest.param(server("192.0.2.1", 30001), True, id="a NodePort"),
        pytest.param(server("2001:db8::1", 30001), True, id="a NodePort in IPv6"),
        pytest.param(server("192.0.2.1", 30002), False, id="another port of the node"),
        pytest.param(server("192.0.2.1", 30001, Protocol.UDP), False, id="another protocol"),
        pytest.param(server("198.51.100.1", 30001), False, id="the port of a NodePort at an address that is not the node's"),
    ],
)
def test_kube_proxys_are_told_by_its_link_and_its_sets(one: VirtualServer, whose: bool) -> None:
    assert made_by_kube_proxy([one], TRACES, ()) == ([one] if whose else [])


def test_what_is_excluded_is_nobodys_to_take() -> None:
    excluded = [network("10.96.0.0/24"), network("2001:db8::/64")]
    assert made_by_kube_proxy([server("10.96.0.1"), server("2001:db8::1", 30001)], TRACES, excluded) == []


def test_names_of_sets_are_cut_as_kube_proxy_cuts_them() -> None:
    assert {"KUBE-CLUSTER-IP", "KUBE-6-CLUSTER-IP", "KUBE-6-LOAD-BALANCER-SOURCE-CID"} <= SETS
    assert max(map(len, SETS)) == 31
