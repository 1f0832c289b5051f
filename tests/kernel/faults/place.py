"""A node under traffic on which an agent and the real kube-proxy come and go: nothing may be lost."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.controlplane import ControlPlane
from tests.kernel.faults.agent import Agent, order
from tests.kernel.mode_changes import remains
from tests.kernel.traffic.apiserver import Cluster, KubeProxy
from tests.support.netns.flows import Client, Flow, Told, asking
from tests.support.netns.topology import PODS, PODS2, Topology
from tests.support.polling import eventually
from tests.support.scenarios.configs import CONFIGS
from tests.support.scenarios.objects import SERVICE_LABEL, Key
from tests.support.scenarios.scenario import Object

NAMESPACE, ADDRESSES = "talking", ("10.96.0.211", "fd00:10:96::d3")
WORD, TALK, ECHO, TALKING = 80, 81, 8080, 7070
"""One port answers a word to each connection and datagram, the other one talks for as long as the client does; and those of endpoints."""
PLACES = {"near1": PODS["near1"], "far1": PODS2["far1"]}
ENOUGH = 25
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

    def is_up_to_date(self, *, without: str = "") -> None:
        """Change Services, and wait until the node serves them so. `without`: the namespace of some that go."""
        self.api.apply({key: each for key, each in self.objects.items() if key[1] != without})

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


def nothing_lost(told: list[Told], record: Record, excused: Callable[[Told], int] = lambda _: 0) -> None:
    """`excused`: so many requests of a flow may be."""
    broken = [flow for flow in told if len(flow.lost) > excused(flow) or not flow.kept]
    sent, lost = sum(flow.sent for flow in told), sum(len(flow.lost) for flow in told)
    print(f"{sent} requests of {len(told)} flows, {lost} lost")
    record("sent", sent)
    assert not broken, broken
    assert all(flow.sent > ENOUGH for flow in told)


def conversations() -> dict[Key, Object]:
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
