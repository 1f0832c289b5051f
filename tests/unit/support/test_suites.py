"""Suites side by side: lanes keep their order, output stays together, and an interruption lets them clean up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.__main__ import LANES
from tests.kernels.build import OTHERS
from tests.support.polling import eventually
from tests.support.results import outcomes, result
from tests.support.suites import ROOT, Suite, side_by_side


def suite(folder: Path, name: str, script: str) -> Suite:
    return Suite(name, ("sh", "-c", script), folder / f"{name}.xml")


def test_lanes_run_at_the_same_time_and_the_suites_of_one_in_their_order(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    writes = suite(tmp_path, "writes", f"echo hello > {tmp_path}/pipe; echo written")
    reads = suite(tmp_path, "reads", f"cat {tmp_path}/pipe; exit 3")
    last = suite(tmp_path, "last", "echo last")

    results = list(side_by_side([[writes, last], [reads]]))

    assert {result.suite: result.status for result in results} == {"writes": 0, "last": 0, "reads": 3}
    assert [result.suite for result in results if result.suite != "reads"] == ["writes", "last"]
    printed = capfd.readouterr().out
    for whole in ("== writes\nwritten\n", "== reads\nhello\n", "== last\nlast\n"):
        assert whole in printed


def test_a_suite_waits_for_those_that_it_stands_on(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    base = suite(tmp_path, "base", f"cat {tmp_path}/pipe; touch {tmp_path}/stands")
    beside = suite(tmp_path, "beside", f"echo go on > {tmp_path}/pipe")
    above = replace(suite(tmp_path, "above", f"test -e {tmp_path}/stands"), stands_on=frozenset({"base"}))

    results = list(side_by_side([[above], [base], [beside]]))

    assert {result.suite: result.status for result in results} == {"base": 0, "beside": 0, "above": 0}


def test_what_stands_on_a_failed_suite_does_not_run_and_all_others_do(tmp_path: Path) -> None:
    above = replace(suite(tmp_path, "above", "true"), stands_on=frozenset({"base"}))

    results = list(side_by_side([[suite(tmp_path, "base", "exit 1"), above, suite(tmp_path, "other", "true")]]))

    assert [(result.suite, result.status) for result in results] == [("base", 1), ("other", 0)]


def test_what_a_report_counts_is_the_result_and_no_report_is_no_tests(tmp_path: Path) -> None:
    report = '<testsuites><testsuite tests="5" failures="1" errors="1" skipped="1"/><testsuite tests="2"/></testsuites>'
    counted = suite(tmp_path, "counted", f"echo '{report}' > {tmp_path}/counted.xml; exit 1")
    (tmp_path / "silent.xml").write_text(report)

    results = {result.suite: result for result in side_by_side([[counted], [suite(tmp_path, "silent", "true")]])}

    assert (results["counted"].passed, results["counted"].failed, results["counted"].skipped) == (4, 2, 1)
    assert results["silent"].passed == 0


def test_cases_of_the_behaviour_table_count_where_their_test_passed(tmp_path: Path) -> None:
    cases = '<properties><property name="cases" value="{}"/><property name="lost" value="3"/></properties>'
    tests = f"<testcase>{cases.format(7)}</testcase><testcase>{cases.format(5)}<failure/></testcase><testcase>{cases.format(2)}</testcase>"
    (tmp_path / "report.xml").write_text(f'<testsuites><testsuite tests="3" failures="1">{tests}</testsuite></testsuites>')

    assert result("table", 1, tmp_path / "report.xml", 0).cases == 9


def test_a_machine_that_can_have_no_other_kernels_is_told_all_suites_but_that_one() -> None:
    assert set(OTHERS.partition("-m tests ")[2].split()) == {suite for lane in LANES for suite in lane} - {"kernels"}


def test_an_interrupted_run_lets_its_suites_clean_up_and_leaves_none(tmp_path: Path) -> None:
    script = f"trap 'touch {tmp_path}/cleaned; exit 1' INT; touch {tmp_path}/up; while :; do sleep 0.1; done"
    code = "import sys; from pathlib import Path; from tests.support.suites import Suite, side_by_side\n"
    code += "list(side_by_side([[Suite('long', ('sh', '-c', sys.argv[1]), Path(sys.argv[2]))]]))"
    with subprocess.Popen([sys.executable, "-c", code, script, str(tmp_path / "long.xml")], cwd=ROOT, stderr=subprocess.DEVNULL) as run:
        eventually((tmp_path / "up").exists, within_s=60)
        run.send_signal(signal.SIGINT)
    assert (tmp_path / "cleaned").exists()


@pytest.mark.parametrize(
    ("verdicts", "passed"),
    [
        (["", ""], True),
        (["", "<failure/>"], False),
        (["<error/>", ""], False),
        (["<skipped/>", ""], True),
        (["<skipped/>", "<failure/>"], False),
        (["<skipped/>", "<skipped/>"], False),
    ],
)
def test_a_test_on_several_kernels_passed_when_it_did_on_all_that_did_not_skip_it(
    tmp_path: Path, verdicts: list[str], *, passed: bool
) -> None:
    reports = [tmp_path / "one", tmp_path / "other"]
    for report, verdict in zip(reports, verdicts, strict=True):
        cases = f'<testcase classname="tests.kernel.test_a" name="test_both">{verdict}</testcase>'
        alone = f'<testcase classname="tests.kernel.test_a" name="test_{report.name}"/>'
        report.write_text(f"<testsuites><testsuite>{cases}</testsuite><testsuite>{alone}</testsuite></testsuites>")

    found = outcomes([*reports, tmp_path / "missing"])

    assert found == {
        "tests/kernel/test_a.py::test_both": passed,
        "tests/kernel/test_a.py::test_one": True,
        "tests/kernel/test_a.py::test_other": True,
    }
