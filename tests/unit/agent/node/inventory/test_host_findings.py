"""What an administrator reads about a node's network before and after an agent runs there."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.node.inventory.host_findings import FORWARDING, ROUTE_LOCALNET, families, left_by_others, left_by_us, obstacles
from proxyconfig_agent.node.inventory.inventory import Inventory, Link

LO = Link("lo", up=True)
ETH0 = Link("eth0", up=True, addresses=("192.0.2.1/24", "2001:db8::1/64"))
NODE = Inventory(links=(LO, ETH0), default_routes=frozenset(Family))
FORWARDS = dict.fromkeys(FORWARDING.values(), "1")


def test_a_node_that_lacks_nothing_is_told_nothing() -> None:
    assert families(NODE) == set(Family)
    assert list(obstacles(NODE, FORWARDS)) == []
    assert list(left_by_us(NODE)) == []
    assert list(left_by_others(NODE, {ROUTE_LOCALNET: "0"})) == []


@pytest.mark.parametrize(
    ("node", "sysctls", "words"),
    [
        pytest.param(replace(NODE, links=(ETH0,)), FORWARDS, "interface lo is down", id="lo"),
        pytest.param(replace(NODE, links=(LO, replace(ETH0, up=False))), FORWARDS, "no interface that is up has an address", id="address"),
        pytest.param(replace(NODE, default_routes=frozenset({Family.IPV6})), FORWARDS, "no default route in IPv4", id="route"),
        pytest.param(NODE, {FORWARDING[Family.IPV6]: "0"}, "net.ipv6.conf.all.forwarding is 0", id="forwarding"),
    ],
)
def test_what_keeps_services_from_working_is_one_sentence(node: Inventory, sysctls: dict[str, str], words: str) -> None:
    (sentence,) = obstacles(node, sysctls)
    assert words in sentence


def test_a_family_without_an_address_is_off_and_lacks_no_route() -> None:
    node = Inventory(links=(LO, Link("eth0", up=True, addresses=("192.0.2.1/24",))), default_routes=frozenset({Family.IPV4}))
    assert families(node) == {Family.IPV4}
    assert list(obstacles(node, FORWARDS)) == []


def test_addresses_of_services_do_not_make_a_family() -> None:
    assert families(replace(NODE, links=(LO, Link("kube-ipvs0", up=True, addresses=("10.96.0.1/32",))))) == set()


def test_what_kube_proxy_left_is_named_with_what_removes_it() -> None:
    node = replace(
        NODE,
        links=(LO, ETH0, Link("kube-ipvs0", up=False, addresses=("10.96.0.1/32", "10.96.0.10/32"))),
        tables=("ip kube-proxy", "ip proxyconfig", "inet firewalld"),
        virtual_servers=3,
        sets=("KUBE-CLUSTER-IP", "mine"),
    )
    lines = list(left_by_others(node, {ROUTE_LOCALNET: "1"}))
    assert [line.partition(":")[0] for line in lines] == [
        "link kube-ipvs0 with 2 addresses",
        "3 virtual servers of ipvs",
        "1 ipsets named KUBE-*",
        "table ip kube-proxy",
        f"{ROUTE_LOCALNET} is 1",
    ]
    assert list(left_by_us(node)) == ["table ip proxyconfig"]
