"""An agent with `takeover: Adopt` begins beside the real kube-proxy, which serves and goes on, and then ends: no request is lost."""

from __future__ import annotations

import contextlib

import pytest
from tests.kernel.faults.place import Place, Record, nothing_lost
from tests.kernel.faults.test_modes import in_mode
from tests.kernel.node.healthports import everywhere
from tests.support.netns.flows import Told
from tests.support.polling import eventually

pytestmark = [pytest.mark.kernel, pytest.mark.apiserver, pytest.mark.timeout(400)]

OTHERS = "matrix-load-balancer"
"""The namespace of a Service that comes and goes: both write and delete its chains, or its entries of maps."""
ROUNDS = 4
PAIRS = [(ours, theirs) for ours in ("iptables", "nftables") for theirs in ("iptables", "nftables")]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_an_agent_begins_beside_a_kube_proxy_that_serves_and_nothing_is_lost_then_nor_when_that_ends(
    place: Place, ours: str, theirs: str, record_property: Record
) -> None:
    told = list[Told]()
    place.order("Apply", ours, takeover="Adopt")
    with contextlib.ExitStack() as kube_proxy:
        kube_proxy.enter_context(place.kube_proxy(theirs))
        place.is_up_to_date()
        with place.asking(told), place.agent.running():
            in_mode(place.agent, ours)
            assert place.agent.condition("OtherProxyPresent")[:2] == ("True", "KubeProxyRunning")
            if ours == theirs == "iptables":
                assert first_writes(place) == 0, "the chains are adopted as they are"
            for _ in range(ROUNDS):
                place.is_up_to_date(without=OTHERS)
                place.is_up_to_date()
            everywhere(place.world, "200 1")
            record_property("repairs", len(place.agent.events("DriftRepaired", "Node")))
            kube_proxy.close()
            place.is_up_to_date()
            is_alone(place)
            place.is_up_to_date()
            everywhere(place.world, "200 1")
            record_property("failed syncs", f"{failures(place)} and {kube_proxys_failures(place)} of kube-proxy")
    nothing_lost(told, record_property)


def is_alone(place: Place) -> None:
    """Wait until the agent finds neither a kube-proxy nor what one has left."""
    eventually(lambda: place.agent.condition("OtherProxyPresent")[:2], within_s=90, every_s=0.5, until=("False", "AsExpected").__eq__)


def first_writes(place: Place) -> int:
    """How many operations the agent's first sync had."""
    first = next(line for line in place.agent.said() if line["event"] == "synced" and line["reason"] == "start")
    return int(first["operations"])


def failures(place: Place) -> int:
    """Syncs of the agent that failed, as kube-proxy wrote the same tables meanwhile; each was tried again."""
    return sum(line["event"] == "sync failed" for line in place.agent.said())


def kube_proxys_failures(place: Place) -> int:
    """The same of kube-proxy, by its log."""
    log = (place.folder / "kube-proxy-default.log").read_text()
    return log.count("Failed to execute iptables-restore") + log.count("nftables sync failed")
