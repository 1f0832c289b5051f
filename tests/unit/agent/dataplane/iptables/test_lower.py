"""The rules of a Service port: kube-proxy's, word for word and in its order."""

# ruff: noqa: E501 -- a rule stands on one line, as iptables-save prints it.

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.agent.dataplane.iptables.listing import SETTINGS, lines, listing
from tests.unit.agent.dataplane.nftables.frontends import frontends, ip, network

from proxyconfig_agent.dataplane.iptables.model.ruleset import Features
from proxyconfig_agent.dataplane.port import LocalTraffic, Settings
from proxyconfig_agent.ingest.model import Policy, Protocol

A, B = "10.244.0.11:8080", "10.244.1.12:8080"
EVERY_ADDRESS: dict[str, Any] = {
    "external_ips": (ip("192.0.2.7"),),
    "load_balancer_ips": (ip("203.0.113.5"),),
    "node_port": 30080,
}


def of_chain(name: str, text: str) -> list[str]:
    """The rules of one chain, without its name."""
    return [line.partition(f" {name} ")[2] for line in text.splitlines() if f" {name} " in f" {line.split()[1]} "]


def test_a_cluster_ip() -> None:
    assert listing(frontends(cluster=(A, B))) == lines("""
        nat KUBE-SERVICES -m comment --comment "shop/web:http cluster IP" -m tcp -p tcp -d 10.96.0.10 --dport 80 -j KUBE-SVC-*
        nat KUBE-SVC-* -m comment --comment "shop/web:http cluster IP" -m tcp -p tcp -d 10.96.0.10 --dport 80 ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ
        nat KUBE-SVC-* -m comment --comment "shop/web:http -> 10.244.0.11:8080" -m statistic --mode random --probability 0.5000000000 -j KUBE-SEP-10.244.0.11:8080
        nat KUBE-SVC-* -m comment --comment "shop/web:http -> 10.244.1.12:8080" -j KUBE-SEP-10.244.1.12:8080
        nat KUBE-SEP-10.244.0.11:8080 -m comment --comment shop/web:http -s 10.244.0.11 -j KUBE-MARK-MASQ
        nat KUBE-SEP-10.244.0.11:8080 -m comment --comment shop/web:http -m tcp -p tcp -j DNAT --to-destination 10.244.0.11:8080
        nat KUBE-SEP-10.244.1.12:8080 -m comment --comment shop/web:http -s 10.244.1.12 -j KUBE-MARK-MASQ
        nat KUBE-SEP-10.244.1.12:8080 -m comment --comment shop/web:http -m tcp -p tcp -j DNAT --to-destination 10.244.1.12:8080
        """)


def test_ipv6_endpoints_stand_in_brackets_where_a_port_follows() -> None:
    assert listing(frontends(cluster_ip="fd00:96::10", cluster=("[fd00:244::11]:53",), protocol=Protocol.UDP, port_name="")) == lines("""
        nat KUBE-SERVICES -m comment --comment "shop/web cluster IP" -m udp -p udp -d fd00:96::10 --dport 80 -j KUBE-SVC-*
        nat KUBE-SVC-* -m comment --comment "shop/web cluster IP" -m udp -p udp -d fd00:96::10 --dport 80 ! -s fd00:244::/32 -j KUBE-MARK-MASQ
        nat KUBE-SVC-* -m comment --comment "shop/web -> [fd00:244::11]:53" -j KUBE-SEP-[fd00:244::11]:53
        nat KUBE-SEP-[fd00:244::11]:53 -m comment --comment shop/web -s fd00:244::11 -j KUBE-MARK-MASQ
        nat KUBE-SEP-[fd00:244::11]:53 -m comment --comment shop/web -m udp -p udp -j DNAT --to-destination [fd00:244::11]:53
        """)


def test_every_external_address_with_policy_cluster() -> None:
    text = listing(frontends(cluster=(A,), **EVERY_ADDRESS))
    assert (
        text.splitlines()[1:-4]
        == lines("""
        nat KUBE-SERVICES -m comment --comment "shop/web:http external IP" -m tcp -p tcp -d 192.0.2.7 --dport 80 -j KUBE-EXT-*
        nat KUBE-SERVICES -m comment --comment "shop/web:http loadbalancer IP" -m tcp -p tcp -d 203.0.113.5 --dport 80 -j KUBE-EXT-*
        nat KUBE-NODEPORTS -m comment --comment shop/web:http -m tcp -p tcp --dport 30080 -j KUBE-EXT-*
        nat KUBE-EXT-* -m comment --comment "masquerade traffic for shop/web:http external destinations" -j KUBE-MARK-MASQ
        nat KUBE-EXT-* -j KUBE-SVC-*
        """).splitlines()
    )


def test_policy_local_keeps_the_source_and_short_circuits_the_nodes_own() -> None:
    text = listing(frontends(cluster=(A, B), local=(A,), external_policy=Policy.LOCAL, **EVERY_ADDRESS))
    assert (
        of_chain("KUBE-EXT-*", text)
        == lines("""
        -m comment --comment "pod traffic for shop/web:http external destinations" -s 10.244.0.0/16 -j KUBE-SVC-*
        -m comment --comment "masquerade LOCAL traffic for shop/web:http external destinations" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
        -m comment --comment "route LOCAL traffic for shop/web:http external destinations" -m addrtype --src-type LOCAL -j KUBE-SVC-*
        -j KUBE-SVL-*
        """).splitlines()
    )
    assert of_chain("KUBE-SVL-*", text) == ['-m comment --comment "shop/web:http -> 10.244.0.11:8080" -j KUBE-SEP-10.244.0.11:8080']


def test_policy_local_without_local_endpoints_drops_what_was_not_short_circuited() -> None:
    text = listing(frontends(cluster=(B,), external_policy=Policy.LOCAL, health_check_node_port=31000, **EVERY_ADDRESS))
    assert [line for line in text.splitlines() if line.startswith("filter")] == lines("""
        filter KUBE-EXTERNAL-SERVICES -m comment --comment "shop/web:http has no local endpoints" -m tcp -p tcp -d 192.0.2.7 --dport 80 -j DROP
        filter KUBE-EXTERNAL-SERVICES -m comment --comment "shop/web:http has no local endpoints" -m tcp -p tcp -d 203.0.113.5 --dport 80 -j DROP
        filter KUBE-EXTERNAL-SERVICES -m comment --comment "shop/web:http has no local endpoints" -m addrtype --dst-type LOCAL -m tcp -p tcp --dport 30080 -j DROP
        filter KUBE-NODEPORTS -m comment --comment "shop/web:http health check node port" -m tcp -p tcp --dport 31000 -j ACCEPT
        """).splitlines()
    assert len(of_chain("KUBE-EXT-*", text)) == 3
    assert "KUBE-SVL" not in text


def test_without_endpoints_every_address_rejects_and_there_are_no_chains() -> None:
    assert listing(frontends(**EVERY_ADDRESS, source_ranges=(network("198.51.100.0/24"),))) == lines("""
        filter KUBE-SERVICES -m comment --comment "shop/web:http has no endpoints" -m tcp -p tcp -d 10.96.0.10 --dport 80 -j REJECT
        filter KUBE-EXTERNAL-SERVICES -m comment --comment "shop/web:http has no endpoints" -m tcp -p tcp -d 192.0.2.7 --dport 80 -j REJECT
        filter KUBE-EXTERNAL-SERVICES -m comment --comment "shop/web:http has no endpoints" -m tcp -p tcp -d 203.0.113.5 --dport 80 -j REJECT
        filter KUBE-EXTERNAL-SERVICES -m comment --comment "shop/web:http has no endpoints" -m addrtype --dst-type LOCAL -m tcp -p tcp --dport 30080 -j REJECT
        """)


def test_internal_policy_local_uses_the_local_list_alone() -> None:
    text = listing(frontends(cluster=(A, B), local=(A,), internal_policy=Policy.LOCAL))
    assert "-j KUBE-SVL-*" in text
    assert "KUBE-SVC-*" not in text
    assert "KUBE-SEP-10.244.1.12" not in text
    assert of_chain("KUBE-SVL-*", text)[0].endswith("! -s 10.244.0.0/16 -j KUBE-MARK-MASQ")


def test_internal_policy_local_without_local_endpoints_drops() -> None:
    text = listing(frontends(cluster=(B,), internal_policy=Policy.LOCAL))
    reason = '-m comment --comment "shop/web:http has no local endpoints"'
    assert text == f"filter KUBE-SERVICES {reason} -m tcp -p tcp -d 10.96.0.10 --dport 80 -j DROP"


def test_each_reachable_endpoint_has_one_chain_whichever_lists_it_is_in() -> None:
    draining = "10.244.0.9:8080"
    text = listing(frontends(cluster=(A, B), local=(A, draining), external_policy=Policy.LOCAL, node_port=30080))
    assert [line.split()[1] for line in text.splitlines() if " -j DNAT " in line] == [f"KUBE-SEP-{each}" for each in (A, B, draining)]


def test_source_ranges_lead_through_a_firewall_chain() -> None:
    ranges = (network("198.51.100.0/24"), network("192.0.2.0/25"))
    text = listing(frontends(cluster=(A,), load_balancer_ips=(ip("203.0.113.5"), ip("203.0.113.6")), source_ranges=ranges))
    assert (
        text.splitlines()[1:5]
        == lines("""
        nat KUBE-SERVICES -m comment --comment "shop/web:http loadbalancer IP" -m tcp -p tcp -d 203.0.113.5 --dport 80 -j KUBE-FW-*
        filter KUBE-PROXY-FIREWALL -m comment --comment "shop/web:http traffic not accepted by KUBE-FW-*" -m tcp -p tcp -d 203.0.113.5 --dport 80 -j DROP
        nat KUBE-SERVICES -m comment --comment "shop/web:http loadbalancer IP" -m tcp -p tcp -d 203.0.113.6 --dport 80 -j KUBE-FW-*
        filter KUBE-PROXY-FIREWALL -m comment --comment "shop/web:http traffic not accepted by KUBE-FW-*" -m tcp -p tcp -d 203.0.113.6 --dport 80 -j DROP
        """).splitlines()
    )
    assert (
        of_chain("KUBE-FW-*", text)
        == lines("""
        -m comment --comment "shop/web:http loadbalancer IP" -s 198.51.100.0/24 -j KUBE-EXT-*
        -m comment --comment "shop/web:http loadbalancer IP" -s 192.0.2.0/25 -j KUBE-EXT-*
        -m comment --comment "other traffic to shop/web:http will be dropped by KUBE-PROXY-FIREWALL"
        """).splitlines()
    )


def test_a_node_inside_of_a_source_range_may_have_the_vip_as_its_source() -> None:
    settings = replace(SETTINGS, node_addresses=(ip("198.51.100.9"), ip("fd00::9")))
    web = frontends(cluster=(A,), load_balancer_ips=(ip("203.0.113.5"),), source_ranges=(network("198.51.100.0/24"),))
    assert of_chain("KUBE-FW-*", listing(web, settings))[1].endswith("-s 203.0.113.5 -j KUBE-EXT-*")


def test_node_ports_are_not_protected_by_source_ranges() -> None:
    web = frontends(cluster=(A,), load_balancer_ips=(ip("203.0.113.5"),), source_ranges=(network("198.51.100.0/24"),), node_port=30080)
    assert of_chain("KUBE-NODEPORTS", listing(web))[0].endswith("-j KUBE-EXT-*")


def test_affinity_asks_first_for_the_endpoint_of_before() -> None:
    text = listing(frontends(cluster=(A, B), affinity_s=600))
    assert (
        of_chain("KUBE-SVC-*", text)[1:]
        == lines("""
        -m comment --comment "shop/web:http -> 10.244.0.11:8080" -m recent --name KUBE-SEP-10.244.0.11:8080 --rcheck --seconds 600 --reap -j KUBE-SEP-10.244.0.11:8080
        -m comment --comment "shop/web:http -> 10.244.1.12:8080" -m recent --name KUBE-SEP-10.244.1.12:8080 --rcheck --seconds 600 --reap -j KUBE-SEP-10.244.1.12:8080
        -m comment --comment "shop/web:http -> 10.244.0.11:8080" -m statistic --mode random --probability 0.5000000000 -j KUBE-SEP-10.244.0.11:8080
        -m comment --comment "shop/web:http -> 10.244.1.12:8080" -j KUBE-SEP-10.244.1.12:8080
        """).splitlines()
    )
    assert of_chain(f"KUBE-SEP-{A}", text)[1] == (
        f"-m comment --comment shop/web:http -m recent --name KUBE-SEP-{A} --set -m tcp -p tcp -j DNAT --to-destination {A}"
    )


def test_endpoints_stand_in_the_order_of_their_text_and_are_chosen_equally_often() -> None:
    text = listing(frontends(cluster=tuple(f"10.0.0.{number}:80" for number in (2, 3, 10))))
    chosen = of_chain("KUBE-SVC-*", text)[1:]
    assert [rule.split()[-1] for rule in chosen] == ["KUBE-SEP-10.0.0.10:80", "KUBE-SEP-10.0.0.2:80", "KUBE-SEP-10.0.0.3:80"]
    assert ["0.3333333333" in chosen[0], "0.5000000000" in chosen[1], "--probability" in chosen[2]] == [True, True, False]


def test_a_large_cluster_goes_without_comments_on_endpoints() -> None:
    text = listing(frontends(cluster=(A,), affinity_s=600), large=True)
    assert (
        text.splitlines()[2:]
        == lines(f"""
        nat KUBE-SVC-* -m recent --name KUBE-SEP-{A} --rcheck --seconds 600 --reap -j KUBE-SEP-{A}
        nat KUBE-SVC-* -j KUBE-SEP-{A}
        nat KUBE-SEP-{A} -s 10.244.0.11 -j KUBE-MARK-MASQ
        nat KUBE-SEP-{A} -m recent --name KUBE-SEP-{A} --set -m tcp -p tcp -j DNAT --to-destination {A}
        """).splitlines()
    )


@pytest.mark.parametrize(
    ("settings", "end"),
    [
        pytest.param(Settings(masquerade_all=True), "--dport 80 -j KUBE-MARK-MASQ", id="all"),
        pytest.param(Settings(local_traffic=LocalTraffic(interface="cni0")), "--dport 80 ! -i cni0 -j KUBE-MARK-MASQ", id="interface"),
        pytest.param(Settings(local_traffic=LocalTraffic(interface_prefix="veth")), "--dport 80 ! -i veth+ -j KUBE-MARK-MASQ", id="prefix"),
        pytest.param(
            Settings(local_traffic=LocalTraffic(cidrs=(network("10.1.0.0/16"), network("10.2.0.0/16")))),
            "--dport 80 -j KUBE-MARK-MASQ-OUTSIDE",
            id="several-networks",
        ),
    ],
)
def test_who_is_masqueraded_towards_a_cluster_ip(settings: Settings, end: str) -> None:
    assert of_chain("KUBE-SVC-*", listing(frontends(cluster=(A,)), settings))[0].endswith(end)


@pytest.mark.parametrize("local_traffic", [LocalTraffic(), LocalTraffic(cidrs=(network("fd00::/64"),))], ids=["unknown", "other-family"])
def test_where_pods_cannot_be_told_nobody_is_masqueraded_or_short_circuited_as_one(local_traffic: LocalTraffic) -> None:
    text = listing(frontends(cluster=(A,), external_policy=Policy.LOCAL, node_port=30080), Settings(local_traffic=local_traffic))
    assert len(of_chain("KUBE-SVC-*", text)) == 1
    assert "pod traffic" not in text


def test_each_network_of_pods_is_short_circuited() -> None:
    settings = Settings(local_traffic=LocalTraffic(cidrs=(network("10.1.0.0/16"), network("10.2.0.0/16"))))
    text = listing(frontends(cluster=(A,), external_policy=Policy.LOCAL, node_port=30080), settings)
    assert text.count("pod traffic for") == 2


@pytest.mark.parametrize(
    ("localhost", "counters", "cluster_ip", "counted"),
    [
        (True, True, "10.96.0.10", True),
        (False, True, "10.96.0.10", False),
        (True, False, "10.96.0.10", False),
        (True, True, "fd00:96::10", False),
    ],
)
def test_use_of_node_ports_on_localhost_is_counted_where_it_can_be(localhost: bool, counters: bool, cluster_ip: str, counted: bool) -> None:
    endpoint = "[fd00:244::11]:80" if ":" in cluster_ip else A
    text = listing(
        frontends(cluster_ip=cluster_ip, cluster=(endpoint,), node_port=30080),
        replace(SETTINGS, localhost_node_ports=localhost),
        Features(counters=counters),
    )
    rule = (
        "-m comment --comment shop/web:http -m tcp -p tcp -d 127.0.0.0/8 --dport 30080 "
        "-m nfacct --nfacct-name localhost_nps_accepted_pkts -j KUBE-EXT-*"
    )
    assert (rule in of_chain("KUBE-NODEPORTS", text)) is counted
    assert len(of_chain("KUBE-NODEPORTS", text)) == 1 + counted


def test_a_service_whose_external_addresses_are_of_the_other_family_is_not_accessible() -> None:
    """Its policy for external traffic means nothing in this family, and there is no chain for it."""
    text = listing(frontends(cluster=(A, B), local=(A,), external_policy=Policy.LOCAL))
    assert "KUBE-EXT" not in text
    assert "KUBE-SVL" not in text
