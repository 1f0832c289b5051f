"""The agent's process in ipvs mode, from the order to the proof that nothing is left; where the kernel has IPVS."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.cluster.controlplane import ControlPlane
from tests.kernel.faults.agent import Agent, order
from tests.kernel.faults.conftest import Web
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
        order(plane, action="Remove")
        eventually(lambda: agent.status().get("removed") == {"objects": 0}, within_s=60, every_s=0.2)
    assert left(world) == ""
    assert sysctls(world) == before
