"""Fixtures of the traffic tests: the topology with its servers and clients, the subjects, and how many cases passed at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from tests.cluster.controlplane import ControlPlane
from tests.kernel.traffic.apiserver import AgentProcess, KubeProxy
from tests.kernel.traffic.inprocess import InProcess
from tests.kernel.traffic.stage import Stage
from tests.kernel.traffic.subject import Subject
from tests.netns.peers import Prober
from tests.netns.topology import Topology
from tests.scenarios.cases import rounds_of
from tests.scenarios.scenario import load

SUBJECTS = (InProcess.name, AgentProcess.name, KubeProxy.name)
ROUNDS = rounds_of(load())


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
