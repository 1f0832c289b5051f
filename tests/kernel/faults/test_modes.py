"""One mode after another on one node, also after kube-proxy: no connection is lost, and nothing of the old mode is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cluster.controlplane import ControlPlane
from tests.kernel.cleanup import clean_up
from tests.kernel.faults.agent import Agent, order
from tests.kernel.faults.conftest import Web
from tests.kernel.traffic.apiserver import Cluster, KubeProxy
from tests.support.netns.topology import Topology
from tests.support.polling import eventually
from tests.support.scenarios.configs import CONFIGS

from proxyconfig_agent.node.other_proxies.other_proxies import Seen
from proxyconfig_agent.node.other_proxies.other_proxies_reader import look

pytestmark = [pytest.mark.kernel, pytest.mark.apiserver, pytest.mark.timeout(400)]

PRIMARY = {"addresses": ["primary"]}
KUBELETS = "KUBE-KUBELET-CANARY"


def of_nftables(world: Topology) -> bool:
    return "proxyconfig" in world.node.run("nft", "list", "tables")


def of_iptables(world: Topology) -> bool:
    return "KUBE-SERVICES" in world.node.run("iptables-nft-save") + world.node.run("ip6tables-nft-save")


def in_mode(agent: Agent, mode: str) -> None:
    """Wait until the NodeProxy has this mode, and is ready."""
    eventually(
        lambda: (agent.status().get("mode", {}).get("effective"), agent.ready()), within_s=60, every_s=0.2, until=(mode, True).__eq__
    )


def test_a_change_of_mode_loses_no_connection_and_leaves_nothing_of_the_old_one(
    agent: Agent, plane: ControlPlane, world: Topology, web: Web
) -> None:
    with agent.running():
        agent.serves()
        web.begin(for_s=10)
        order(plane, mode="iptables", nodePorts=PRIMARY)
        in_mode(agent, "iptables")
        assert (of_iptables(world), of_nftables(world)) == (True, False)
        order(plane)
        in_mode(agent, "nftables")
        assert (of_iptables(world), of_nftables(world)) == (False, True)
        attempts, lost = web.lost()
    assert not lost
    assert attempts > 100


def test_an_agent_that_starts_in_another_mode_removes_what_the_one_before_left(
    agent: Agent, plane: ControlPlane, world: Topology, web: Web
) -> None:
    order(plane, mode="iptables", nodePorts=PRIMARY)
    with agent.running():
        in_mode(agent, "iptables")
    assert of_iptables(world)
    order(plane)
    with agent.running():
        in_mode(agent, "nftables")
        assert not of_iptables(world)
        assert web.served()


After = Callable[[str], Agent]


@pytest.fixture
def after_kube_proxy(agent: Agent, plane: ControlPlane, world: Topology, api_cluster: Cluster, tmp_path: Path) -> After:
    """Makes an agent that is not started yet, on a node where kube-proxy ran in a mode; its rules are still there."""

    def made(mode: str) -> Agent:
        clean_up(world.node)
        with KubeProxy(mode, plane, world, api_cluster, tmp_path).started(CONFIGS["default"]):
            eventually(api_cluster.caught_up, within_s=60)
        return agent

    return made


def test_a_node_that_kube_proxy_ran_is_adopted_without_a_change(after_kube_proxy: After, plane: ControlPlane, web: Web) -> None:
    agent = after_kube_proxy("iptables")
    web.begin(for_s=6)
    order(plane, mode="iptables", nodePorts=PRIMARY)
    with agent.running():
        in_mode(agent, "iptables")
        (first,) = [line for line in agent.said() if line["event"] == "synced" and line["reason"] == "start"]
        attempts, lost = web.lost()
        assert first["operations"] == 0
    assert not lost
    assert attempts > 100


def test_chains_of_kube_proxy_go_where_the_mode_does_not_adopt_them(after_kube_proxy: After, world: Topology, web: Web) -> None:
    agent = after_kube_proxy("iptables")
    world.node.run("iptables-nft", "-t", "mangle", "-N", KUBELETS)
    assert world.node.call(look).canaries
    with agent.running():
        without_kube_proxys(agent, world, "nftables")
        assert (of_iptables(world), of_nftables(world)) == (False, True)
        assert f":{KUBELETS} " in world.node.run("iptables-nft-save", "-t", "mangle")
        assert web.served()


def test_tables_of_kube_proxy_go_in_each_mode_and_no_connection_with_them(
    after_kube_proxy: After, plane: ControlPlane, world: Topology, web: Web
) -> None:
    agent = after_kube_proxy("nftables")
    left = [world.node.run("nft", "list", "table", family, "kube-proxy") for family in ("ip", "ip6")]
    web.begin(for_s=3)
    with agent.running():
        without_kube_proxys(agent, world, "nftables")
        attempts, lost = web.lost()
    assert not lost
    assert attempts > 100
    for table in left:
        world.node.run("nft", "-f", "-", stdin=table)
    order(plane, mode="iptables", nodePorts=PRIMARY)
    with agent.running():
        without_kube_proxys(agent, world, "iptables")
        assert (of_iptables(world), of_nftables(world)) == (True, False)
        assert web.served()


def without_kube_proxys(agent: Agent, world: Topology, mode: str) -> None:
    """Wait until the agent serves in this mode, and says that no rules of kube-proxy are left, which is so."""
    in_mode(agent, mode)
    eventually(lambda: agent.condition("OtherProxyPresent")[:2], within_s=60, every_s=0.5, until=("False", "AsExpected").__eq__)
    assert world.node.call(look) == Seen()
    events = eventually(lambda: agent.events("KubeProxyRulesRemoved", "Node"), within_s=60, every_s=0.5, until=bool)
    assert all("a scan finds nothing of it any more" in event["note"] for event in events)
