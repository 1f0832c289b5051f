"""What a suite of tests came to: read from the JUnit report that it wrote."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CASES = "cases"
"""The property of a test that says how many cases of the behaviour table it has."""


@dataclass(frozen=True, slots=True)
class Result:
    """What was counted in one suite, errors as failures; `status` is its exit status, `cases` those of the tests that passed."""

    suite: str
    status: int
    passed: int
    failed: int
    skipped: int
    took_s: float
    cases: int = 0

    def __str__(self) -> str:
        verdict = "ok" if self.status == 0 else f"FAILED (status {self.status})"
        counts = f"{self.passed:5} passed {self.failed:4} failed {self.skipped:4} skipped"
        return f"{self.suite:10} {counts} {self.took_s:7.0f} s  {verdict}"


def result(suite: str, status: int, report: Path, took_s: float) -> Result:
    """Return the result of a suite that ended; one that wrote no report has no tests."""
    total = failed = skipped = cases = 0
    for part in ET.parse(report).getroot().iter("testsuite") if report.exists() else ():  # noqa: S314 (pytest has just written it)
        total += int(part.get("tests", 0))
        failed += int(part.get("failures", 0)) + int(part.get("errors", 0))
        skipped += int(part.get("skipped", 0))
        cases += sum(map(_cases, part.iter("testcase")))
    return Result(suite, status, total - failed - skipped, failed, skipped, took_s, cases)


def _cases(test: ET.Element) -> int:
    """How many cases passed with this test."""
    if {part.tag for part in test} & {"failure", "error", "skipped"}:
        return 0
    return sum(int(each.get("value", 0)) for each in test.iter("property") if each.get("name") == CASES)


def outcomes(reports: Iterable[Path]) -> dict[str, bool]:
    """Return whether each test of the reports passed, by its node id.

    Of one that ran on several kernels, whether it passed on every kernel that did not skip it, and on one at least.
    """
    found: dict[str, set[bool]] = {}
    for report in filter(Path.exists, reports):
        for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 (pytest has just written it)
            id_ = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
            verdicts, tags = found.setdefault(id_, set()), {part.tag for part in case}
            if "skipped" not in tags:
                verdicts.add(not tags & {"failure", "error"})
    return {id_: verdicts == {True} for id_, verdicts in found.items()}
