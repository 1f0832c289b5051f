"""What is tested on which kernel, and the results of all as one JUnit report."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.kernels import machine, outside
from tests.kernels.machine import Task


@dataclass(frozen=True, slots=True)
class Run:
    """A boot of one kernel with parameters for its command line, pytest's arguments on it, and whether it reaches an API server."""

    kernel: str
    arguments: tuple[str, ...]
    parameters: tuple[str, ...] = ()
    api_server: bool = False

    def __str__(self) -> str:
        return " ".join((self.kernel, *self.parameters))


_IN_IPVS_MODE = (
    *(f"tests/kernel/traffic/test_{name}.py" for name in ("ipvs", "work", "live")),
    "tests/kernel/node/test_udp.py",
    "tests/kernel/simulator",
)
_FAULTS = (
    "test_drift.py::test_changes_by_hand_are_repaired_counted_named_and_told[nftables-_flush_everything-tables]",
    "test_flows.py::test_an_agent_that_was_frozen_while_endpoints_changed",
    "test_health.py::test_rules_that_cannot_be_repaired_fail_the_checks_and_those_of_services_until_they_are[nftables]",
    "test_modes.py::test_a_change_of_mode_loses_no_connection_and_leaves_nothing_of_the_old_one",
    "test_refusals.py::test_rules_of_others_stay_byte_for_byte",
    "test_ipvs.py::test_an_order_is_served_reported_and_taken_back",
)
"""Of each kind of fault that the kernel decides, one: an agent that starts takes such a kernel seconds of CPU time."""
RUNS = (
    # Not test_speed: the clock of CPU time has steps of 10 ms on these kernels (HZ=100), and what it measures takes less.
    Run("complete", ("tests/kernel/nftables", "--ignore=tests/kernel/nftables/test_speed.py")),
    Run("complete", ("tests/kernels/ipvs", *_IN_IPVS_MODE, "-k", "not tables] and not userspace] and not kube-proxy")),
    Run("complete", tuple(f"tests/kernel/faults/{one}" for one in _FAULTS), api_server=True),
    Run("complete", ("tests/kernels/ipv4_alone",), ("ipv6.disable=1",)),
    Run("without-fib-ipv6", ("tests/kernels/without_fib_ipv6",)),
    Run("without-ctnetlink", ("tests/kernels/without_ctnetlink",)),
    Run("without-nf-tables", ("tests/kernels/without_nf_tables", "tests/kernels/ipvs/test_rules.py", "tests/kernel/traffic/test_ipvs.py")),
    Run("without-nf-tables-and-statistic", ("tests/kernels/without_nf_tables_and_statistic",)),
    Run("without-ipv6", ("tests/kernels/ipv4_alone",)),
)
_HARNESS = "tests/kernels/harness"
REPORT = "report.xml"


def run(programs: Mapping[str, Path], report: Path | None) -> int:
    """Test the kernels, and then on each of them, one after the other; return the worst of pytest's exit statuses."""
    merged = ET.Element("testsuites")
    with machine.shared() as folder:
        worst = subprocess.run(pytest_words(folder, _HARNESS), cwd=machine.ROOT, check=False).returncode
        _add(folder, merged)
    for each in RUNS:
        print(f"-- Linux {each}", flush=True)
        with machine.shared() as folder:
            worst = max(worst, _status(each, programs[each.kernel], folder))
            _add(folder, merged)
    if report is not None:
        ET.ElementTree(merged).write(report, encoding="utf-8", xml_declaration=True)
    return worst


def _status(each: Run, program: Path, folder: Path) -> int:
    boot = outside.run if each.api_server else machine.run
    try:
        return boot(program, Task(pytest_words(folder, *each.arguments), each.parameters), folder)
    except ClusterError as error:
        print(error, flush=True)
        return 1


def pytest_words(folder: Path, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={folder / REPORT}", *arguments)


def _add(folder: Path, merged: ET.Element) -> None:
    """Take over the test suites of a run's report; a kernel that ended before its tests has written none."""
    if (report := folder / REPORT).exists():
        merged.extend(ET.parse(report).getroot().iter("testsuite"))  # noqa: S314 (pytest has just written it)
