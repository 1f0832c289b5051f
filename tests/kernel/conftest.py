"""A node under test with everything around it, and an API server that knows it: made when the first test asks, one per session."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import pytest
from tests.cluster.controlplane import ControlPlane
from tests.kernel.traffic.apiserver import Cluster
from tests.kernels.inside import apiserver
from tests.support.netns.peers import Prober, echoing, probing
from tests.support.netns.topology import BEYOND, BEYOND_PORT, NODE, NODE2, PODS, PODS2, Topology, topology
from tests.support.scenarios.book import NETNS
from tests.support.scenarios.scenario import BEYOND as BEYOND_NAME

PORTS = (8080, 9090)


@pytest.fixture(scope="session")
def world() -> Iterator[Topology]:
    """The node under test and its surroundings, with servers in every backend."""
    with topology() as made, contextlib.ExitStack() as servers:
        for name in ("near1", "near2"):
            servers.enter_context(echoing(made[name], name, PODS[name].both, PORTS))
        for name in ("far1", "far2"):
            servers.enter_context(echoing(made[name], name, PODS2[name].both, PORTS))
        servers.enter_context(echoing(made.node, "host", NODE.both, PORTS))
        servers.enter_context(echoing(made["node2"], "host2", NODE2.both, PORTS))
        servers.enter_context(echoing(made["outside"], BEYOND_NAME, BEYOND.both, [BEYOND_PORT]))
        yield made


@pytest.fixture(scope="session")
def probers(world: Topology) -> Iterator[Mapping[str, Prober]]:
    """A client process for each class of clients."""
    with contextlib.ExitStack() as clients:
        yield {space: clients.enter_context(probing(world[space])) for space in {client.space for client in NETNS.clients.values()}}


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """An API server that knows the node; of another kernel it is outside."""
    with apiserver() as api:
        yield api


@pytest.fixture(scope="session")
def api_cluster(control_plane: ControlPlane, world: Topology, probers: Mapping[str, Prober]) -> Cluster:
    """The API server's objects, and whether a proxy has caught up with them."""
    return Cluster(control_plane, world, probers["client"])
