"""A node goes back to the real kube-proxy: no request is lost, rules are kept up to date until then, and nothing of the agent is left.

Where the kernel has IPVS, both may be in ipvs mode: `python -m tests.kernels count complete giving-back`."""

from __future__ import annotations

import contextlib

import pytest
from tests.kernel.faults.place import Place, Record, nothing_lost
from tests.kernel.faults.test_modes import in_mode
from tests.kernel.node.healthports import NODE_PORT, everywhere
from tests.kernel.traffic.manifest import EVERYWHERE
from tests.support.netns import ipvs
from tests.support.netns.flows import Flow, Told
from tests.support.polling import eventually

pytestmark = [pytest.mark.kernel, pytest.mark.apiserver, pytest.mark.timeout(400)]

IPVS = ["ipvs"] if ipvs.is_there() else []


@pytest.mark.parametrize("theirs", ["nftables", "iptables", *IPVS])
@pytest.mark.parametrize("ours", ["nftables", "iptables", "userspace", *IPVS])
def test_a_node_goes_back_to_kube_proxy_without_a_gap(place: Place, ours: str, theirs: str, record_property: Record) -> None:
    told = list[Told]()
    place.order("Apply", ours)
    with place.agent.running(), contextlib.ExitStack() as later:
        in_mode(place.agent, ours)
        with place.asking(told):
            place.order("GiveBack", ours)
            place.says("until a kube-proxy answers")
            place.may_return()
            eventually(lambda: "127.0.0.1:10249" not in place.world.node.run("ss", "-Hltn"), within_s=60)
            everywhere(place.world, "200 1")
            place.is_up_to_date()

            later.enter_context(place.kube_proxy(theirs))
            if ours == "userspace":
                place.says("connections have ended")
            else:
                place.is_back()
            place.is_up_to_date()
        place.is_back()
        place.agent.stop()
        place.is_up_to_date()
        everywhere(place.world, "200 1")
    # A client's datagram may be lost while the proxy process, or IPVS, has it: the kernel leads the flow elsewhere before the answer.
    nothing_lost(told, record_property, lambda flow: int(ours in {"userspace", "ipvs"} and flow.kind == "datagrams"))


def test_a_restarted_agent_serves_on_and_gives_back_to_a_kube_proxy_that_came_meanwhile(place: Place, record_property: Record) -> None:
    told = list[Told]()
    place.order("Apply", "iptables")
    with contextlib.ExitStack() as later:
        with place.agent.running():
            in_mode(place.agent, "iptables")
            place.order("GiveBack", "iptables")
            place.says("until a kube-proxy answers")
        with place.asking(told):
            with place.agent.running():
                place.may_return()
                place.is_up_to_date()
            later.enter_context(place.kube_proxy("nftables"))
            with place.agent.running():
                place.is_back()
            place.is_up_to_date()
    nothing_lost(told, record_property)


def test_node_ports_of_loopback_addresses_are_served_until_kube_proxy_serves_them(place: Place, record_property: Record) -> None:
    told, spec = list[Told](), {"nodePorts": {"addresses": list(EVERYWHERE)}, "iptables": {"localhostNodePorts": True}}
    place.order("Apply", "iptables", **spec)
    with place.agent.running(), contextlib.ExitStack() as later:
        in_mode(place.agent, "iptables")
        with place.asking(told, Flow("connections", "127.0.0.1", NODE_PORT)):
            place.order("GiveBack", "iptables", **spec)
            place.may_return()
            place.is_up_to_date()
            later.enter_context(place.kube_proxy("iptables", "localhost-node-ports"))
            place.is_back()
            place.is_up_to_date()
    # In nftables mode a proxy process has the connections to loopback addresses, and one that is open then ends with it.
    nothing_lost(told, record_property, lambda flow: int("127.0.0.1" in flow.place))
