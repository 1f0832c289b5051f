"""One mode after another on one node, also after kube-proxy: no connection is lost, and nothing of the old mode is left."""

from __future__ import annotations

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

pytestmark = [pytest.mark.kernel, pytest.mark.apiserver, pytest.mark.timeout(400)]

PRIMARY = {"addresses": ["primary"]}


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


@pytest.fixture
def after_kube_proxy(agent: Agent, plane: ControlPlane, world: Topology, api_cluster: Cluster, tmp_path: Path) -> Agent:
    """An agent that is not started yet, on a node where kube-proxy ran in iptables mode; its rules are still there."""
    clean_up(world.node)
    with KubeProxy("iptables", plane, world, api_cluster, tmp_path).started(CONFIGS["default"]):
        eventually(api_cluster.caught_up, within_s=60)
    return agent


def test_a_node_that_kube_proxy_ran_is_adopted_without_a_change(after_kube_proxy: Agent, plane: ControlPlane, web: Web) -> None:
    agent = after_kube_proxy
    web.begin(for_s=6)
    order(plane, mode="iptables", nodePorts=PRIMARY)
    with agent.running():
        in_mode(agent, "iptables")
        (first,) = [line for line in agent.said() if line["event"] == "synced" and line["reason"] == "start"]
        attempts, lost = web.lost()
        assert first["operations"] == 0
    assert not lost
    assert attempts > 100


def test_kube_proxys_chains_are_none_of_nftables_modes_business(after_kube_proxy: Agent, plane: ControlPlane, world: Topology) -> None:
    agent = after_kube_proxy
    before = _nat(world)
    with agent.running():
        in_mode(agent, "nftables")
        assert _nat(world) == before
        order(plane, action="Remove")
        eventually(lambda: agent.status().get("removed") == {"objects": 0}, within_s=60, every_s=0.2)
    assert _nat(world) == before


def _nat(world: Topology) -> list[str]:
    return [line for line in world.node.run("iptables-nft-save", "-t", "nat").splitlines() if not line.startswith("#")]
