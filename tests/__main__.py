"""All tests: `python -m tests [SUITE …]`. The last lines say what passed, and how many rows of kube-proxy's behaviour
(docs/compatibility.md).

Two suites run at a time, as most wait more than they compute. A suite that fails does not stop the others, except that the second phase
does not run on top of failing checks or unit tests.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType

from tests.acceptance import tally
from tests.support.results import Result, outcomes
from tests.support.suites import Suite, side_by_side

PHASES = (
    # Other kernels compute on one processor and share nothing with the machine: they run where one is idle, beside the unit tests.
    (("check", "kernels"), ("unit",)),
    # Whole clusters share settings of the machine, so they are in one lane. Both lanes take about the same time.
    (("kernel",), ("e2e", "cluster", "apiserver")),
)
BASE = frozenset({"check", "unit"})
"""What the second phase stands on."""
_RESULTS = Path(__file__).resolve().parents[1] / ".test"


def main(chosen: list[str]) -> int:
    """Run the chosen suites, all by default; return the worst exit status."""
    names = {name for phase in PHASES for lane in phase for name in lane}
    if unknown := set(chosen) - names:
        sys.exit(f"there is no suite {', '.join(sorted(unknown))}; there are {', '.join(sorted(names))}")
    signal.signal(signal.SIGTERM, _interrupt)
    # Where it is set, each of the many processes of the tests compiles all of its modules anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    results = list[Result]()
    for phase in PHASES:
        results += side_by_side([[_suite(name) for name in lane if not chosen or name in chosen] for lane in phase])
        if any(result.status for result in results if result.suite in BASE):
            break
    rows = tally.lines(outcomes(_report(result.suite) for result in results))
    print("\n".join(["", *rows, *map(str, results)]))
    print(f"{sum(r.passed for r in results)} passed, {sum(r.failed for r in results)} failed, {sum(r.skipped for r in results)} skipped")
    return max((result.status for result in results), default=1)


def _suite(name: str) -> Suite:
    report = _report(name)
    match name:
        case "check":
            command: tuple[str, ...] = ("make", "--no-print-directory", "check")
        case "kernels":
            command = (sys.executable, "-m", "tests.kernels", "test", f"--junit-xml={report}")
        case _:
            command = (sys.executable, "-m", "pytest", "-q", f"--junit-xml={report}", f"tests/{name}")
    return Suite(name, command, report)


def _report(name: str) -> Path:
    return _RESULTS / f"{name}.xml"


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
