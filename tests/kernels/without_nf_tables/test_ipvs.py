"""ipvs mode on a kernel without CONFIG_NF_TABLES: chains of iptables and sets of ip_set lead to virtual servers."""

from __future__ import annotations

from contextlib import closing

import pytest
from tests.kernel.in_namespace import Entered
from tests.kernel.nftables.examples import SETTINGS, each_kind_once, every_kind
from tests.kernels.conftest import Start
from tests.kernels.node import Node
from tests.unit.agent.dataplane.nftables.frontends import frontends, ip

from proxyconfig_agent.dataplane.combined import ipvs_rules
from proxyconfig_agent.dataplane.combined.ipvs_entries import KINDS
from proxyconfig_agent.dataplane.modes.modes import installed
from proxyconfig_agent.dataplane.port import Change, Destination
from proxyconfig_agent.ingest.model import Family, Protocol
from proxyconfig_api.spec.sections import Mode

pytestmark = pytest.mark.kernel

NEAR, FAR = "10.244.0.1:8080", "10.244.1.1:8080"
WEB, LESS = frontends(cluster=(NEAR, FAR)), frontends(cluster=(FAR,))
SAVES = ("iptables-legacy-save", "ip6tables-legacy-save")


@pytest.fixture
def node(node: Node) -> Node:
    node.space.ip(["link set lo up", "addr add 192.168.50.1/32 dev lo", "addr add fd00:50::1/128 dev lo"])
    return node


@pytest.fixture
def dataplane(node: Node, start: Start) -> Entered:
    del node
    return start(ipvs_rules.made)


def rules(node: Node) -> list[str]:
    """And entries of sets, without what packets count and when it was printed."""
    printed = [node.space.run(save) for save in SAVES] + [node.space.run("ipset", "save")]
    return [line.partition(" [")[0] for each in printed for line in each.splitlines() if not line.startswith(("#", "create"))]


def test_what_is_taken_away_one_by_one_leaves_what_a_mode_without_services_has(dataplane: Entered, node: Node) -> None:
    dataplane.resync(SETTINGS, [])
    before = rules(node)
    ports = each_kind_once()
    dataplane.resync(SETTINGS, ports)
    for port in ports:
        assert dataplane.apply([Change(port, None)]).refused == ()
    # Their addresses stay local until the last connection has ended.
    assert [line for line in rules(node) if not line.startswith("add ")] == [line for line in before if not line.startswith("add ")]


def test_endpoints_of_a_cluster_ip_come_and_go_without_a_program(dataplane: Entered, monkeypatch: pytest.MonkeyPatch) -> None:
    dataplane.resync(SETTINGS, [])
    monkeypatch.setenv("PATH", "/nonexistent")
    for change in (Change(None, WEB), Change(WEB, LESS), Change(LESS, None)):
        assert dataplane.apply([change]).refused == ()
    assert not dataplane.disturbed()


def test_sets_have_names_and_types_as_kube_proxys(dataplane: Entered, node: Node) -> None:
    dataplane.resync(SETTINGS, [frontends(cluster=(NEAR, FAR), on_node=(ip("10.244.0.1"),))])
    saved = node.space.run("ipset", "save").splitlines()
    assert [line for line in saved if line.startswith("add KUBE-") and "240.0.0.0" not in line] == [
        "add KUBE-CLUSTER-IP 10.96.0.10,tcp:80",
        "add KUBE-LOOP-BACK 10.244.0.1,tcp:8080,10.244.0.1",
        "add KUBE-IPVS-IPS 10.96.0.10",
    ]
    made = {" ".join(line.split()[1:5]) for line in saved if line.startswith("create")}
    assert made == {
        f"{prefix}{stem} {kind} family {family}"
        for prefix, family in (("KUBE-", "inet"), ("KUBE-6-", "inet6"))
        for stem, kind in KINDS.items()
    }


def test_what_somebody_changes_is_repaired(dataplane: Entered, node: Node) -> None:
    dataplane.resync(SETTINGS, [WEB])
    node.space.run("iptables-legacy", "-F", "KUBE-IPVS-FILTER")
    node.space.run("ipset", "del", "KUBE-CLUSTER-IP", "10.96.0.10,tcp:80")
    node.space.run("ipset", "add", "KUBE-LOOP-BACK", "10.244.0.9,tcp:80,10.244.0.9")
    assert dataplane.disturbed()
    outcome = dataplane.resync(SETTINGS, [WEB])
    assert outcome.repaired == "2 entries of sets, 1 chains; of chain KUBE-IPVS-FILTER of table filter"
    assert not dataplane.disturbed()


def test_udp_ports_that_are_gone_since_the_agent_ran_last_are_named(dataplane: Entered, start: Start) -> None:
    dns = frontends("dns", "10.96.0.53", (NEAR,), protocol=Protocol.UDP, port=53)
    dataplane.resync(SETTINGS, [dns])
    assert start(ipvs_rules.made).resync(SETTINGS, []).abandoned == (Destination(Family.IPV4, ip("10.96.0.53"), 53),)


def test_disarmed_chains_stay_and_no_packet_meets_them(dataplane: Entered, node: Node) -> None:
    dataplane.resync(SETTINGS, [WEB])
    before = rules(node)
    assert dataplane.disarm()
    disarmed = rules(node)
    jumps = [line for line in before if line not in disarmed]
    assert {line.rpartition(" ")[2] for line in jumps} >= {"KUBE-SERVICES", "KUBE-IPVS-SERVICES", "KUBE-IPVS-FILTER"}
    dataplane.arm()
    assert dataplane.resync(SETTINGS, [WEB]).operations == 0
    assert sorted(rules(node)) == sorted(before)


def test_remove_leaves_nothing(dataplane: Entered, node: Node) -> None:
    dataplane.resync(SETTINGS, every_kind())
    dataplane.remove()
    assert dataplane.scan() == []
    assert not [line for line in rules(node) if "KUBE-" in line]
    assert node.space.run("ipset", "list", "-n") == ""


def test_a_clean_up_proves_that_nothing_is_left(dataplane: Entered, node: Node) -> None:
    dataplane.resync(SETTINGS, every_kind())
    result = node.clean_up()
    assert (result.status, result.printed[-1]) == (0, "0 kernel objects of proxyconfig are left")
    assert node.space.run("ipset", "list", "-n") == ""


def test_kube_proxys_sets_are_replaced_and_its_chains_go(dataplane: Entered, node: Node) -> None:
    node.space.run("ipset", "create", "KUBE-CLUSTER-IP", "hash:ip,port")
    node.space.run("ipset", "add", "KUBE-CLUSTER-IP", "10.96.0.99,tcp:80")
    node.space.run("iptables-legacy", "-t", "nat", "-N", "KUBE-LOAD-BALANCER")
    node.space.run("iptables-legacy", "-t", "nat", "-A", "KUBE-LOAD-BALANCER", "-m", "set", "--match-set", "KUBE-CLUSTER-IP", "dst,dst")
    dataplane.resync(SETTINGS, [WEB])
    assert "10.96.0.99" not in "".join(rules(node))
    assert "KUBE-LOAD-BALANCER" not in "".join(rules(node))
    dataplane.remove()
    assert node.space.run("ipset", "list", "-n") == ""


def test_other_modes_take_the_chains_over_and_give_them_back(node: Node) -> None:
    ports = [WEB, frontends("nodes", "10.96.0.11", (NEAR,), node_port=30005)]
    for mode in (Mode.IPVS, Mode.IPTABLES, Mode.IPVS, Mode.USERSPACE, Mode.IPVS):
        made = node.space.call(installed, mode)
        with closing(made.lifecycle):
            assert node.space.call(made.dataplane.resync, SETTINGS, ports).refused == ()
            assert ("KUBE-IPVS-FILTER" in node.space.run("iptables-legacy-save")) is (mode is Mode.IPVS)
            assert bool(node.space.run("ipset", "list", "-n")) is (mode is Mode.IPVS)
            assert node.space.call(made.dataplane.resync, SETTINGS, ports).repaired == ""
    with closing(node.space.call(installed, Mode.IPVS).lifecycle) as last:
        node.space.call(last.remove)
        assert node.space.call(last.scan) == []
