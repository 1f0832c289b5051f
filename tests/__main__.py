"""All tests: `python -m tests [SUITE …]`. The last lines say what passed, and how many rows of kube-proxy's behaviour
(docs/compatibility.md).

Up to four suites run at a time, as most wait more than they compute. A suite that fails does not stop the others, except that nothing
but the end-to-end tests begins on top of failing checks, and nothing that computes for long on top of failing unit tests.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType

from tests.acceptance import tally
from tests.support.results import outcomes
from tests.support.suites import Suite, side_by_side

LANES = (
    # Whole clusters share settings of the machine, so they are in one lane. It is the longest one and mostly waits: it begins at once.
    ("e2e", "cluster"),
    ("check", "unit", "kernel"),
    # Other kernels compute on one processor and share nothing with the machine.
    ("kernels", "traffic"),
    ("apiserver", "flows"),
)
STANDS_ON = {
    # These compute for as long as all others together: not on top of failing unit tests.
    "kernel": frozenset({"check", "unit"}),
    "traffic": frozenset({"check", "unit"}),
    "flows": frozenset({"check", "unit"}),
    # This waits more than it computes, and begins while the unit tests have one processor.
    "apiserver": frozenset({"check"}),
    "cluster": frozenset({"check"}),
}
"""What has to pass before a suite starts."""
_FLOWS = "tests/kernel/traffic"
_TABLE = f"{_FLOWS}/test_traffic.py"
_PLANE = "tests/cluster/test_controlplane.py"
FOLDERS = {
    "kernel": ("tests/kernel", f"--ignore={_FLOWS}"),
    "traffic": (_TABLE,),
    "flows": (_FLOWS, f"--ignore={_TABLE}"),
    # It needs no node.
    "apiserver": ("tests/apiserver", _PLANE),
    "cluster": ("tests/cluster", f"--ignore={_PLANE}"),
}
"""Of suites that are not the folder of their name."""
_RESULTS = Path(__file__).resolve().parents[1] / ".test"


def main(chosen: list[str]) -> int:
    """Run the chosen suites, all by default; return the worst exit status."""
    names = {name for lane in LANES for name in lane}
    if unknown := set(chosen) - names:
        sys.exit(f"there is no suite {', '.join(sorted(unknown))}; there are {', '.join(sorted(names))}")
    # SIGINT as well: it is ignored in a shell's background, and the suites, which are ended by it, would inherit that.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    # Where it is set, each of the many processes of the tests compiles all of its modules anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    wanted = names & set(chosen or names)
    results = list(side_by_side([[_suite(name, wanted) for name in lane if name in wanted] for lane in LANES]))
    rows = tally.lines(outcomes(_report(result.suite) for result in results))
    print("\n".join(["", *rows, *map(str, results)]))
    print(f"{sum(r.passed for r in results)} passed, {sum(r.failed for r in results)} failed, {sum(r.skipped for r in results)} skipped")
    return max((result.status for result in results), default=1)


def _suite(name: str, wanted: set[str]) -> Suite:
    report = _report(name)
    match name:
        case "check":
            command: tuple[str, ...] = ("make", "--no-print-directory", "check")
        case "kernels":
            command = (sys.executable, "-m", "tests.kernels", "test", f"--junit-xml={report}")
        case _:
            command = (sys.executable, "-m", "pytest", "-q", f"--junit-xml={report}", *FOLDERS.get(name, (f"tests/{name}",)))
    return Suite(name, command, report, STANDS_ON.get(name, frozenset()) & wanted)


def _report(name: str) -> Path:
    return _RESULTS / f"{name}.xml"


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
