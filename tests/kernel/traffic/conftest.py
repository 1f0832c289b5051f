"""Fixtures of the traffic tests: the topology with its servers and clients, the subjects, and how many cases passed at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from tests.cluster.controlplane import ControlPlane
from tests.kernel.traffic.apiserver import AgentProcess, KubeProxy
from tests.kernel.traffic.cast import PARTS, Part
from tests.kernel.traffic.inprocess import InProcess
from tests.kernel.traffic.stage import Theatre
from tests.kernel.traffic.subject import Subject
from tests.netns.peers import Prober
from tests.netns.topology import Topology


@pytest.fixture(scope="module")
def theatre(request: pytest.FixtureRequest, world: Topology, probers: Mapping[str, Prober]) -> Iterator[Theatre]:
    """Where one subject after the other plays; an API server is made when the first one needs it."""

    def engage(part: Part) -> Subject:
        if part.subject == part.mode:
            return InProcess(world, part.mode)
        folder = request.getfixturevalue("tmp_path_factory").mktemp(part.subject)
        api: ControlPlane = request.getfixturevalue("control_plane")
        cluster = request.getfixturevalue("api_cluster")
        return (KubeProxy if part.is_kube_proxy else AgentProcess)(part.mode, api, world, cluster, folder)

    made = Theatre(engage, probers)
    try:
        yield made
    finally:
        made.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many cases of the behaviour table passed, for each subject."""
    for subject in map(str, PARTS):
        outcomes = {
            outcome: sum(report.nodeid.endswith(f"-{subject}]") for report in terminalreporter.stats.get(outcome, ()))
            for outcome in ("passed", "failed", "error", "skipped")
        }
        if any(outcomes.values()):
            words = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items() if count or outcome == "passed")
            terminalreporter.write_line(f"traffic cases with real packets, {subject}: {words}")
