"""The agent's process in ipvs mode, from the order to the proof that nothing is left; where the kernel has IPVS."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.cluster.controlplane import ControlPlane
from tests.kernel.faults.agent import Agent, order
from tests.kernel.faults.conftest import Web
from tests.kernels.node import Node
from tests.support.netns.topology import Topology
from tests.support.polling import eventually

from proxyconfig_agent.dataplane.ipvs.mode import NEEDED, STRICT_ARP

pytestmark = [pytest.mark.kernel, pytest.mark.apiserver, pytest.mark.timeout(400)]


def sysctls(world: Topology) -> Mapping[str, str]:
    """Those that the mode sets."""
    return {name: world.node.run("cat", f"/proc/sys/{name.replace('.', '/')}").strip() for name in NEEDED | STRICT_ARP}


def left(world: Topology) -> str:
    """What of the mode is on the node, by other programs than the agent."""
    servers = world.node.run("cat", "/proc/net/ip_vs").splitlines()[3:]
    routes = [world.node.run("ip", family, "route", "show", "table", "local", "proto", "88") for family in ("-4", "-6")]
    tables = [line for line in world.node.run("nft", "list", "tables").splitlines() if "proxyconfig" in line]
    return "\n".join((*servers, *routes, *tables)).strip()


def removed(agent: Agent, plane: ControlPlane) -> None:
    """Order that nothing is left, and wait until the NodeProxy reports it."""
    order(plane, action="Remove")
    eventually(lambda: agent.status().get("removed") == {"objects": 0}, within_s=60, every_s=0.2)


def test_an_order_is_served_reported_and_taken_back(agent: Agent, plane: ControlPlane, world: Topology, web: Web) -> None:
    before = sysctls(world)
    order(plane, mode="ipvs", ipvs={"scheduler": "lc", "strictARP": True})
    with agent.running():
        agent.serves()
        assert web.served()
        status = agent.status()
        assert (status["mode"]["effective"], status["mode"]["reason"]) == ("ipvs", "AsConfigured")
        assert status["capabilities"]["ip_vs"] == "available"
        assert " lc " in world.node.run("cat", "/proc/net/ip_vs")
        assert sysctls(world) == NEEDED | STRICT_ARP
        removed(agent, plane)
    assert left(world) == ""
    assert sysctls(world) == before


def test_a_clean_up_leaves_nothing_of_an_agent_that_was_killed(agent: Agent, plane: ControlPlane, world: Topology, web: Web) -> None:
    before = sysctls(world)
    order(plane, mode="ipvs", ipvs={"strictARP": True})
    with agent.running():
        agent.serves()
    assert web.served(), "what is in the kernel needs no process"
    cleaned = Node(world.node).clean_up()
    assert (cleaned.status, cleaned.printed[-1]) == (0, "0 kernel objects of proxyconfig are left")
    assert left(world) == ""
    assert sysctls(world) == before


def test_an_agent_that_starts_again_adopts_what_it_finds(agent: Agent, plane: ControlPlane, world: Topology, web: Web) -> None:
    order(plane, mode="ipvs")
    with agent.running():
        agent.serves()
    memory = agent.memory()
    with agent.running():
        first = eventually(lambda: next((line for line in agent.said()[memory:] if line["event"] == "synced"), None), within_s=60)
        assert first is not None
        assert (first["reason"], first["operations"]) == ("start", 0)
        assert web.served()
        removed(agent, plane)
    assert left(world) == ""
