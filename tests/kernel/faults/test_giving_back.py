"""A node goes back to the real kube-proxy: no request is lost, rules are kept up to date until then, and nothing of the agent is left.

Where the kernel has IPVS, both may be in ipvs mode: `python -m tests.kernels count complete giving-back`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.controlplane import ControlPlane
from tests.kernel.faults.agent import Agent, order
from tests.kernel.faults.conftest import Web
from tests.kernel.faults.test_modes import in_mode
from tests.kernel.mode_changes import remains
from tests.kernel.node.healthports import NODE_PORT, balanced, everywhere
from tests.kernel.node.udp import ready
from tests.kernel.traffic.apiserver import Cluster, KubeProxy
from tests.kernel.traffic.manifest import EVERYWHERE
from tests.support.netns import conntrack, ipvs
from tests.support.netns.flows import Client, Flow, Told, asking
from tests.support.netns.talker import Talker
from tests.support.netns.topology import PODS, PODS2, Topology
from tests.support.polling import eventually
from tests.support.scenarios.configs import CONFIGS
from tests.support.scenarios.objects import SERVICE_LABEL, Key
from tests.support.scenarios.scenario import Object

pytestmark = [pytest.mark.kernel, pytest.mark.apiserver, pytest.mark.timeout(400)]

NAMESPACE, ADDRESSES = "talking", ("10.96.0.211", "fd00:10:96::d3")
WORD, TALK, ECHO, TALKING = 80, 81, 8080, 7070
"""One port answers a word to each connection and datagram, the other one talks for as long as the client does; and those of endpoints."""
PLACES = {"near1": PODS["near1"], "far1": PODS2["far1"]}
ENOUGH = 25
IPVS = ["ipvs"] if ipvs.is_there() else []
PAIRS = [
    (ours, theirs)
    for ours in ("nftables", "iptables", "userspace", *IPVS)
    for theirs in ("nftables", "iptables", *IPVS)
    if (ours, theirs) != ("userspace", "ipvs")  # docs/migrate.md: a UDP client may get no answer any more
]
Record = Callable[[str, object], None]


@dataclass(frozen=True, slots=True)
class Place:
    """The node, with an agent that is not started yet; `api` has the Services."""

    agent: Agent
    plane: ControlPlane
    world: Topology
    api: Cluster
    objects: Mapping[Key, Object]
    folder: Path

    def order(self, action: str, mode: str, **spec: Any) -> None:
        order(self.plane, action, mode=mode, **spec)

    def may_return(self) -> None:
        """Wait until the agent has reported what the operator waits for before kube-proxy's pod may come: the node is served, by rules
        that no kube-proxy takes for its own or deletes at its start."""
        eventually(self.agent.ready, within_s=60, every_s=0.2)
        assert self.left("iptables", "ipvs") == []

    def kube_proxy(self, mode: str, config: str = "default") -> contextlib.AbstractContextManager[object]:
        """The process; its rules stay."""
        return KubeProxy(mode, self.plane, self.world, self.api, self.folder).started(CONFIGS[config])

    def says(self, words: str) -> None:
        """Wait until the NodeProxy does."""
        eventually(lambda: self.agent.condition("Programmed")[2], within_s=60, every_s=0.2, until=lambda said: words in said)

    def is_up_to_date(self) -> None:
        """Change Services, and wait until the node serves them so."""
        self.api.apply(self.objects)

    def is_back(self) -> None:
        """Wait until the agent says so; and that it is so. What of other modes has kube-proxy's names was gone before that came."""
        eventually(lambda: self.agent.status().get("removed"), within_s=120, every_s=0.2, until=lambda said: said == {"objects": 0})
        assert self.left("nftables", "userspace") == []

    def left(self, *modes: str) -> list[str]:
        return [left for mode in modes for left in remains.of_mode(self.world.node, mode)]

    def asking(self, told: list[Told], *more: Flow) -> contextlib.AbstractContextManager[None]:
        """`more`: of the node."""
        kinds = {"connection": TALK, "connections": WORD, "datagrams": WORD}
        flows = [Flow(kind, address, port) for kind, port in kinds.items() for address in ADDRESSES]
        return asking([Client(self.world["client"], flows), Client(self.world.node, [*flows, *more])], told)


@pytest.fixture
def place(agent: Agent, plane: ControlPlane, world: Topology, api_cluster: Cluster, web: Web, tmp_path: Path) -> Iterator[Place]:  # noqa: PLR0917 - what pytest gives
    """The node is empty afterwards."""
    objects = {**web.objects, **_conversations(), **balanced(*ready("near1"))}
    api_cluster.put(objects)
    with contextlib.ExitStack() as servers:
        for name, addresses in PLACES.items():
            for address in addresses.both:
                servers.enter_context(contextlib.closing(Talker(world[name], name, address, TALKING)))
        yield Place(agent, plane, world, api_cluster, objects, tmp_path)
    agent.end()
    world.node.run("nft", "flush", "ruleset")
    if ipvs.is_there():
        ipvs.empty(world.node)
    conntrack.forget(world.node)
    world.node.sysctl({"net.ipv4.conf.all.route_localnet": "0"})


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
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


def nothing_lost(told: list[Told], record: Record, excused: Callable[[Told], int] = lambda _: 0) -> None:
    """`excused`: so many requests of a flow may be."""
    broken = [flow for flow in told if len(flow.lost) > excused(flow) or not flow.kept]
    sent, lost = sum(flow.sent for flow in told), sum(len(flow.lost) for flow in told)
    print(f"{sent} requests of {len(told)} flows, {lost} lost")
    record("sent", sent)
    assert not broken, broken
    assert all(flow.sent > ENOUGH for flow in told)


def _conversations() -> dict[Key, Object]:
    """A Service of the cluster with these ports in both families."""
    ports = [
        {"name": "word", "protocol": "TCP", "port": WORD, "targetPort": ECHO},
        {"name": "datagram", "protocol": "UDP", "port": WORD, "targetPort": ECHO},
        {"name": "talk", "protocol": "TCP", "port": TALK, "targetPort": TALKING},
    ]
    families = {"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack"}
    spec = {"clusterIP": ADDRESSES[0], "clusterIPs": list(ADDRESSES), **families, "ports": ports}
    metadata = {"namespace": NAMESPACE, "name": "talk"}
    objects: dict[Key, Object] = {
        ("Service", NAMESPACE, "talk"): {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
    }
    for family in (4, 6):
        objects["EndpointSlice", NAMESPACE, f"talk-{family}"] = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"namespace": NAMESPACE, "name": f"talk-{family}", "labels": {SERVICE_LABEL: "talk"}},
            "addressType": f"IPv{family}",
            "ports": [{"name": each["name"], "protocol": each["protocol"], "port": each["targetPort"]} for each in ports],
            "endpoints": [{"addresses": [addresses[family]], "conditions": {}} for addresses in PLACES.values()],
        }
    return objects
