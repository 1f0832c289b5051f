"""Fixtures of the traffic tests: the topology with its servers and clients, the subjects, and how many cases passed at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import pytest
from tests.cluster.controlplane import ControlPlane, controlplane
from tests.kernel.traffic.apiserver import AgentProcess, Cluster, KubeProxy
from tests.kernel.traffic.inprocess import InProcess
from tests.kernel.traffic.stage import Stage
from tests.kernel.traffic.subject import Subject
from tests.netns.peers import Prober, echoing, probing
from tests.netns.topology import NODE, NODE2, PODS, PODS2, Topology, topology
from tests.scenarios.cases import CLIENTS, rounds_of
from tests.scenarios.scenario import load

SUBJECTS = (InProcess.name, AgentProcess.name, KubeProxy.name)
PORTS = (8080, 9090)
ROUNDS = rounds_of(load())


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
        yield made


@pytest.fixture(scope="session")
def probers(world: Topology) -> Iterator[Mapping[str, Prober]]:
    """A client process for each class of clients."""
    with contextlib.ExitStack() as clients:
        yield {space: clients.enter_context(probing(world[space])) for space in {client.space for client in CLIENTS.values()}}


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """An API server that knows the node."""
    with controlplane() as api:
        yield api


@pytest.fixture(scope="session")
def api_cluster(control_plane: ControlPlane, world: Topology, probers: Mapping[str, Prober]) -> Cluster:
    """The API server's objects, and whether a proxy has caught up with them."""
    return Cluster(control_plane, world, probers["client"])


@pytest.fixture(scope="module")
def subject(request: pytest.FixtureRequest) -> Subject:
    """The proxy under test, by the parameter."""
    world: Topology = request.getfixturevalue("world")
    if request.param == InProcess.name:
        return InProcess(world)
    folder = request.getfixturevalue("tmp_path_factory").mktemp(request.param)
    api: ControlPlane = request.getfixturevalue("control_plane")
    cluster = request.getfixturevalue("api_cluster")
    return KubeProxy(api, world, cluster, folder) if request.param == KubeProxy.name else AgentProcess(api, world, cluster, folder)


@pytest.fixture(scope="module")
def stage(subject: Subject, probers: Mapping[str, Prober]) -> Iterator[Stage]:
    """The subject on the node under test."""
    made = Stage(subject, probers, ROUNDS)
    try:
        yield made
    finally:
        made.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many cases of the behaviour table passed, for each subject."""
    for subject in SUBJECTS:
        outcomes = {
            outcome: sum(report.nodeid.endswith(f"-{subject}]") for report in terminalreporter.stats.get(outcome, ()))
            for outcome in ("passed", "failed", "error", "skipped")
        }
        if any(outcomes.values()):
            words = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items() if count or outcome == "passed")
            terminalreporter.write_line(f"traffic cases with real packets, {subject}: {words}")
