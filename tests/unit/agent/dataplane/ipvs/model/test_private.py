"""Addresses of virtual servers that only rules lead to."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.unit.agent.dataplane.nftables.frontends import frontends, ip

from proxyconfig_agent.dataplane.ipvs.model.private import KEEPERS, Kind, is_private, private_server
from proxyconfig_agent.ingest.model import Family, Protocol
from proxyconfig_agent.netlink.ipvs.messages import VirtualServer


@pytest.mark.parametrize(
    ("cluster_ip", "kind", "private"),
    [
        ("10.96.0.10", Kind.CLUSTER, "242.96.0.10"),
        ("10.96.0.10", Kind.LOCAL, "250.96.0.10"),
        ("172.20.3.4", Kind.CLUSTER, "244.20.3.4"),
        ("192.168.3.4", Kind.LOCAL, "248.168.3.4"),
        ("fd00:96::10", Kind.CLUSTER, "100::10"),
        ("fd00:96::10", Kind.LOCAL, "100::8000:0:0:10"),
    ],
)
def test_they_follow_from_the_cluster_ip(cluster_ip: str, kind: Kind, private: str) -> None:
    server = private_server(frontends(cluster_ip=cluster_ip, port=443, protocol=Protocol.UDP), kind)

    assert server == VirtualServer(Protocol.UDP, ip(private), 443)
    assert is_private(server.address)
    assert not is_private(ip(cluster_ip))


def test_service_networks_in_use_do_not_meet() -> None:
    networks = ("10.96.0.10", "172.16.0.10", "172.31.0.10", "192.168.0.10", "100.64.0.10", "100.127.0.10")
    for kind in Kind:
        assert len({private_server(frontends(cluster_ip=each), kind) for each in networks}) == len(networks)


def test_without_a_cluster_ip_they_follow_from_an_external_address_or_the_node_port() -> None:
    external = replace(frontends(external_ips=(ip("203.0.113.7"),), node_port=30080), cluster_ip=None)
    only_port = replace(frontends(node_port=30080), cluster_ip=None)

    assert private_server(external, Kind.CLUSTER) == VirtualServer(Protocol.TCP, ip("243.0.113.7"), 80)
    assert private_server(only_port, Kind.LOCAL) == VirtualServer(Protocol.TCP, ip("248.0.0.1"), 30080)


@pytest.mark.parametrize("family", Family)
def test_the_keeper_is_private(family: Family) -> None:
    assert is_private(KEEPERS[family])
