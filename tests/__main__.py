"""All tests: `python -m tests [SUITE …]`. One suite after the other, the quick ones first; the last lines say what passed, and how many
rows of kube-proxy's behaviour (docs/compatibility.md).

A suite that fails does not stop the others, except that nothing runs on top of failing unit tests.
"""

from __future__ import annotations

import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance import tally

SUITES = ("unit", "kernel", "apiserver", "cluster", "e2e")
_REPOSITORY = Path(__file__).resolve().parents[1]
_RESULTS = _REPOSITORY / ".test"


@dataclass(frozen=True, slots=True)
class Result:
    """What pytest counted in one suite; `status` is its exit status."""

    suite: str
    status: int
    passed: int
    failed: int
    skipped: int
    took_s: float

    def __str__(self) -> str:
        verdict = "ok" if self.status == 0 else f"FAILED (pytest status {self.status})"
        counts = f"{self.passed:5} passed {self.failed:4} failed {self.skipped:4} skipped"
        return f"{self.suite:10} {counts} {self.took_s:7.0f} s  {verdict}"


def run(suite: str) -> Result:
    """Run one suite, its output as it comes."""
    report = _RESULTS / f"{suite}.xml"
    report.unlink(missing_ok=True)
    started = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", f"--junit-xml={report}", f"tests/{suite}"]
    status = subprocess.run(command, cwd=_REPOSITORY, check=False).returncode
    passed, failed, skipped = _counted(report)
    return Result(suite, status, passed, failed, skipped, time.monotonic() - started)


def _counted(report: Path) -> tuple[int, int, int]:
    """Passed, failed (errors included) and skipped tests of a JUnit report; zeros if there is none."""
    if not report.exists():
        return 0, 0, 0
    suites = ET.parse(report).getroot().iter("testsuite")  # noqa: S314 (pytest has just written it)
    total = failed = skipped = 0
    for suite in suites:
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return total - failed - skipped, failed, skipped


def _outcomes(suites: Iterable[str]) -> dict[str, bool]:
    """Whether each test of the suites' reports passed, by its node id."""
    found: dict[str, bool] = {}
    for report in filter(Path.exists, (_RESULTS / f"{suite}.xml" for suite in suites)):
        for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 (pytest has just written it)
            id_ = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
            found[id_] = not {part.tag for part in case} & {"failure", "error", "skipped"}
    return found


def main(chosen: list[str]) -> int:
    _RESULTS.mkdir(exist_ok=True)
    results: list[Result] = []
    for suite in chosen or SUITES:
        print(f"== {suite}", flush=True)
        results.append(run(suite))
        if suite == "unit" and results[-1].status:
            break
    rows = tally.lines(_outcomes(result.suite for result in results))
    print("\n".join(["", *rows, *map(str, results)]))
    print(f"{sum(r.passed for r in results)} passed, {sum(r.failed for r in results)} failed, {sum(r.skipped for r in results)} skipped")
    return max((result.status for result in results), default=1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
