"""`auto` with a real agent: it ends in the mode that the kernel can do, says why, and goes to a better one when that works."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from tests.cluster.controlplane import ControlPlane
from tests.kernel.faults.agent import Agent, order
from tests.kernel.faults.conftest import Web
from tests.support.netns.topology import Topology
from tests.support.polling import eventually

pytestmark = [pytest.mark.kernel, pytest.mark.apiserver, pytest.mark.timeout(400)]

LACKING = (sys.executable, "-m", "tests.kernel.faults.lacking")
WITHOUT_NFNETLINK = (*LACKING, "nfnetlink")
"""Neither nftables nor iptables-nft works; iptables-legacy does."""
WITHOUT_ANY = (*LACKING, "nfnetlink,xtables")


def mode(agent: Agent) -> dict[str, Any]:
    """What the NodeProxy says of the mode once the agent is ready."""
    agent.serves()
    says: dict[str, Any] = agent.status()["mode"]
    return says


def test_auto_is_nftables_where_the_kernel_has_it(agent: Agent, plane: ControlPlane, web: Web) -> None:
    order(plane, mode="auto")
    with agent.running():
        says = mode(agent)
        assert (says["desired"], says["effective"], says["reason"]) == ("auto", "nftables", "FirstChoice")
        assert web.served()
        assert not agent.events("ModeChanged", "Node")


def test_auto_is_iptables_where_the_kernel_lacks_nftables_and_a_better_mode_takes_over_when_it_works(
    agent: Agent, plane: ControlPlane, world: Topology, web: Web
) -> None:
    order(plane, mode="auto")
    agent.prefix = WITHOUT_NFNETLINK
    with agent.running():
        says = mode(agent)
        assert (says["desired"], says["effective"], says["reason"]) == ("auto", "iptables", "NextBest")
        assert "the kernel lacks netlink sockets for netfilter" in says["message"]
        assert agent.status()["capabilities"]["iptables"].endswith("(legacy)")
        assert web.served()
    assert "KUBE-SERVICES" in world.node.run("iptables-legacy-save")

    agent.prefix = ()
    web.begin(for_s=10)
    with agent.running():
        eventually(lambda: agent.status()["mode"]["effective"] == "nftables", within_s=60)
        assert mode(agent)["reason"] == "FirstChoice"
        (event,) = eventually(lambda: agent.events("ModeChanged", "Node"), within_s=60, until=bool)
        assert "before, the node ran iptables" in event["note"]
        assert "KUBE-SERVICES" not in world.node.run("iptables-legacy-save")
        attempts, lost = web.lost()
    assert not lost
    assert attempts > 100


def test_auto_on_a_kernel_that_has_no_mode_names_what_each_lacks(agent: Agent, plane: ControlPlane, web: Web) -> None:
    order(plane, mode="auto")
    agent.prefix = WITHOUT_ANY
    with agent.running():
        eventually(lambda: agent.condition("Ready")[1], within_s=60, every_s=0.2, until="ModeUnsupported".__eq__)
        status = agent.status()
        assert "effective" not in status["mode"]
        for words in (
            "no mode works on this node",
            "no nftables, as the kernel lacks",
            "no iptables, as the kernel has no iptables tables",
        ):
            assert words in status["mode"]["message"]
        assert not web.served()
