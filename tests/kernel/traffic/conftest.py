"""Fixtures of the traffic tests: the topology with its servers and clients, the subjects, and how many cases passed at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import pytest
from tests.acceptance import tally
from tests.cluster.controlplane import ControlPlane
from tests.kernel.traffic.apiserver import AgentProcess, KubeProxy
from tests.kernel.traffic.cast import BY_IPTABLES, IPVS_BY_IPTABLES, IPVS_UPSTREAM, IPVS_WHOLE, LEGACY, PARTS, Part
from tests.kernel.traffic.inprocess import DATAPLANES, ByIptables, InProcess, IpvsByIptables, Legacy, Pipeline, dataplane
from tests.kernel.traffic.stage import Theatre
from tests.kernel.traffic.subject import Subject
from tests.support.netns.peers import Prober
from tests.support.netns.topology import Topology
from tests.support.results import CASES
from tests.support.scenarios.configs import CONFIGS


@pytest.fixture(scope="module")
def theatre(request: pytest.FixtureRequest, world: Topology, probers: Mapping[str, Prober]) -> Iterator[Theatre]:
    """Where one subject after the other plays; an API server is made when the first one needs it."""

    def engage(part: Part) -> Subject:
        if part.subject == part.mode:
            return InProcess(world, part.mode)
        if part.subject == LEGACY:
            return Legacy(world)
        if part.subject == BY_IPTABLES:
            return ByIptables(world)
        if part.subject == IPVS_BY_IPTABLES:
            return IpvsByIptables(world)
        folder = request.getfixturevalue("tmp_path_factory").mktemp(part.subject)
        api: ControlPlane = request.getfixturevalue("control_plane")
        cluster = request.getfixturevalue("api_cluster")
        return (KubeProxy if part.is_kube_proxy else AgentProcess)(part.mode, api, world, cluster, folder)

    made = Theatre(engage, probers)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(params=list(DATAPLANES))
def live(request: pytest.FixtureRequest, world: Topology) -> Iterator[Pipeline]:
    """Each of our modes on an empty node, without a runner."""
    with dataplane(world, request.param) as made:
        yield Pipeline(world, made, CONFIGS["default"], request.param)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many cases of the behaviour table passed for each subject, and how many rows in each mode."""
    of = {outcome: terminalreporter.stats.get(outcome, ()) for outcome in ("passed", "failed", "error")}
    for part in (*PARTS, *IPVS_WHOLE, *IPVS_UPSTREAM):
        counts = {outcome: sum(map(_cases, filter(partial(_is_of, part), reports))) for outcome, reports in of.items()}
        if any(counts.values()):
            words = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items() if count or outcome == "passed")
            terminalreporter.write_line(f"traffic cases with real packets, {part}: {words}")
    outcomes = {report.nodeid: outcome == "passed" for outcome, reports in of.items() for report in reports}
    for line in tally.lines(outcomes):
        terminalreporter.write_line(line)


def _is_of(part: Part, report: pytest.TestReport) -> bool:
    return tally.subject_of(report.nodeid) == str(part)


def _cases(report: pytest.TestReport) -> int:
    return sum(int(str(value)) for name, value in report.user_properties if name == CASES)
