"""A node with an agent, a Service, and clients that never stop asking while the mode changes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.kernel.cleanup import clean_up
from tests.kernel.mode_changes import remains
from tests.kernel.mode_changes.agent import WITHIN_S, Agent
from tests.kernel.mode_changes.api import Lists, serving
from tests.kernel.traffic.clusterobjects import node_object
from tests.support.netns.flows import PACE_S, Client, Flow, Told, asking
from tests.support.netns.namespace import Namespace
from tests.support.netns.peers import echoing
from tests.support.netns.talker import Talker
from tests.support.netns.topology import NODE, NODE_NAME, POD_CIDR, PODS, PODS2, SERVICE_CIDR, Topology, topology
from tests.support.polling import eventually
from tests.support.scenarios.objects import SERVICE_LABEL
from tests.support.scenarios.scenario import Object

CLUSTER_IPS = ("10.96.0.100", "fd00:10:96::100")
WORD, TALK, WORD_NODE_PORT, TALK_NODE_PORT = 80, 81, 30080, 30081
"""One port answers a word to each connection and datagram, the other one talks for as long as the client does."""
ECHO, TALKING = 8080, 7070
ENDPOINTS = {"near1": PODS["near1"], "far1": PODS2["far1"]}
CLIENTS = (("client", CLUSTER_IPS[0]), ("node", CLUSTER_IPS[1]), ("outside", NODE.v4), ("outside", NODE.v6))
NODE_PACE_S = 0.06
"""Seconds between two requests of the client on the node. It resets each connection that it has made, and 20 resets a second that the node
sends speak against a change."""
KINDS = {"connection": (TALK, TALK_NODE_PORT), "connections": (WORD, WORD_NODE_PORT), "datagrams": (WORD, WORD_NODE_PORT)}


@dataclass(frozen=True, slots=True)
class Stage:
    topology: Topology
    agent: Agent
    api: contextlib.ExitStack
    """The API server; closing it is its end."""
    before: Mapping[str, str]
    """The sysctls, before any agent ran."""

    @property
    def node(self) -> Namespace:
        return self.topology.node

    def begin_in(self, mode: str) -> None:
        """Have the node serve in this mode by an order that was carried out: after a way back it serves in another than was ordered."""
        if (self.agent.mode, self.agent.serves_in()) != (mode, mode):
            self.agent.change(mode)
        assert self.agent.serves_in() == mode

    @contextlib.contextmanager
    def traffic(self, told: list[Told]) -> Iterator[None]:
        """Of a pod and a process of the node to the ClusterIP, of a host outside to the NodePort, until some requests after the end."""
        with asking([self._client(place, address) for place, address in CLIENTS], told):
            yield

    def _client(self, place: str, address: str) -> Client:
        of_node = address in NODE.both
        flows = [Flow(kind, address, ports[of_node]) for kind, ports in KINDS.items()]
        return Client(self.topology[place], flows, NODE_PACE_S if place == "node" else PACE_S)

    def await_end_of(self, mode: str) -> None:
        """Until a scan finds nothing of this mode. Another one serves."""
        eventually(lambda: remains.of_mode(self.node, mode), within_s=WITHIN_S, every_s=0.5, until=[].__eq__)


@contextlib.contextmanager
def stage(folder: Path, mode: str) -> Iterator[Stage]:
    """With an agent in this mode. Raises AssertionError if `--cleanup` leaves anything."""
    with topology() as made, contextlib.ExitStack() as processes:
        for name, addresses in ENDPOINTS.items():
            processes.enter_context(echoing(made[name], name, addresses.both, (ECHO,)))
            for address in addresses.both:
                processes.enter_context(contextlib.closing(Talker(made[name], name, address, TALKING)))
        before = remains.sysctls(made.node)
        api = processes.enter_context(contextlib.ExitStack())
        agent = Agent(made.node, api.enter_context(serving(made.node, _lists())), folder)
        with agent.running(mode):
            yield Stage(made, agent, api, before)
        clean_up(made.node)
        assert remains.sysctls(made.node) == before


def _lists() -> Lists:
    return {
        "/api/v1/nodes": [node_object(NODE_NAME, POD_CIDR, NODE)],
        "/api/v1/services": [_service()],
        "/apis/discovery.k8s.io/v1/endpointslices": [_slice(4), _slice(6)],
        "/apis/networking.k8s.io/v1/servicecidrs": [{"metadata": {"name": "kubernetes"}, "spec": {"cidrs": list(SERVICE_CIDR.both)}}],
    }


def _service() -> Object:
    ports = [
        {"name": "word", "protocol": "TCP", "port": WORD, "nodePort": WORD_NODE_PORT},
        {"name": "datagram", "protocol": "UDP", "port": WORD, "nodePort": WORD_NODE_PORT},
        {"name": "talk", "protocol": "TCP", "port": TALK, "nodePort": TALK_NODE_PORT},
    ]
    spec = {"type": "NodePort", "clusterIP": CLUSTER_IPS[0], "clusterIPs": list(CLUSTER_IPS), "ports": ports}
    return {"metadata": {"namespace": "default", "name": "web"}, "spec": spec}


def _slice(family: int) -> Object:
    ports = [
        {"name": "word", "protocol": "TCP", "port": ECHO},
        {"name": "datagram", "protocol": "UDP", "port": ECHO},
        {"name": "talk", "protocol": "TCP", "port": TALKING},
    ]
    return {
        "metadata": {"namespace": "default", "name": f"web-{family}", "labels": {SERVICE_LABEL: "web"}},
        "addressType": f"IPv{family}",
        "ports": ports,
        "endpoints": [{"addresses": [pair[family]]} for pair in ENDPOINTS.values()],
    }
