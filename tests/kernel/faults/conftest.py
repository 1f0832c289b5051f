"""An agent that a NodeProxy orders about, on the node under test, and a Service with traffic."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.controlplane import ControlPlane
from tests.kernel.faults.agent import Agent, forget, order
from tests.kernel.faults.place import PLACES, TALKING, Place, conversations
from tests.kernel.node.healthports import balanced
from tests.kernel.node.udp import ready
from tests.kernel.traffic.apiserver import Cluster
from tests.support.netns import conntrack, ipvs
from tests.support.netns.peers import Prober
from tests.support.netns.programs import ROOT
from tests.support.netns.talker import Talker
from tests.support.netns.topology import Topology
from tests.support.scenarios.objects import Allocator, Key, Story
from tests.support.scenarios.scenario import Object, load

from proxyconfig_agent.dataplane.modes.ownership import Ownership
from proxyconfig_api.objects.names import NAMESPACE

collect_ignore = [] if ipvs.is_there() else ["test_ipvs.py"]
ENDPOINTS = ("near1", "near2", "far1", "far2")
PACE_S = 0.003
"""Between two connections of a family. Without a pause they take a processor for as long as they go on, and the agent waits for it."""


@dataclass
class Web:
    """A Service of every kind of address with four endpoints; `objects` are what the API has for it."""

    objects: dict[Key, Object]
    addresses: Mapping[int, str]
    pod: Prober

    def flow(self, family: int = 4, **more: Any) -> dict[str, Any]:
        return {"address": self.addresses[family], "port": 80, "patience_s": 1, **more}

    def served(self) -> bool:
        """Whether a pod reaches endpoints in both families, and nothing else happens."""
        answers = self.pod.ask([self.flow(family, attempts=8, least=8) for family in (4, 6)])
        return all(answer.split()[0] in ENDPOINTS for counts in answers for answer in counts)

    def begin(self, for_s: float) -> None:
        """Begin to connect again and again, in both families; more than 50 times each, however long that takes."""
        self.pod.send([self.flow(family, for_s=for_s, least=51, every_s=PACE_S) for family in (4, 6)])

    def lost(self) -> tuple[int, list[str]]:
        """How many connections there were since `begin`, and what else than endpoints answered."""
        counts = self.pod.receive()
        lost = [f"{count} × {answer}" for each in counts for answer, count in each.items() if answer.split()[0] not in ENDPOINTS]
        return sum(sum(each.values()) for each in counts), lost


@pytest.fixture(scope="session")
def web(probers: Mapping[str, Prober]) -> Web:
    """The Service of the scenario `matrix-load-balancer`."""
    story = Story(next(scenario for scenario in load() if scenario.id == "matrix-load-balancer"), Allocator())
    story.advance()
    v4, v6 = story.service("")["spec"]["clusterIPs"]
    return Web(story.objects(), {4: v4, 6: v6}, probers["client"])


@pytest.fixture(scope="session")
def plane(control_plane: ControlPlane) -> ControlPlane:
    """The API server with our CRDs."""
    control_plane.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
    control_plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    return control_plane


@pytest.fixture
def agent(plane: ControlPlane, world: Topology, api_cluster: Cluster, web: Web, tmp_path: Path) -> Iterator[Agent]:
    """An agent that is not started yet, with orders to serve; `web` is in the API. The node is empty before and afterwards."""
    order(plane)
    api_cluster.put(web.objects)
    conntrack.forget(world.node)
    made = Agent(plane, world, tmp_path / "agent.log")
    yield made
    made.end()
    world.node.run("nft", "flush", "ruleset")
    world.node.call(lambda: Ownership().release())
    forget(plane)


@pytest.fixture
def place(agent: Agent, plane: ControlPlane, world: Topology, api_cluster: Cluster, web: Web, tmp_path: Path) -> Iterator[Place]:  # noqa: PLR0917 - what pytest gives
    """The node is empty afterwards."""
    objects = {**web.objects, **conversations(), **balanced(*ready("near1"))}
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
