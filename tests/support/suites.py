"""Suites of tests as processes: several side by side, the output of each in a file and printed whole when it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.results import Result, result

ROOT = Path(__file__).resolve().parents[2]
REPORT_EVERY_S = 30
_LOOK_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Suite:
    """A command that runs tests and writes a JUnit report, if it has any tests to report."""

    name: str
    command: tuple[str, ...]
    report: Path
    stands_on: frozenset[str] = frozenset()
    """Suites of other lanes: it starts when all of them have passed, and never if one of them failed."""

    @property
    def log(self) -> Path:
        """Return where its output is."""
        return self.report.with_suffix(".log")


@dataclass
class Running:
    """A suite that was started."""

    suite: Suite
    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.monotonic)

    def end(self) -> Result:
        """Print what it wrote, and return what it came to."""
        status, took_s = self.process.wait(), time.monotonic() - self.started
        print(f"== {self.suite.name}\n{self.suite.log.read_text(errors='replace')}", end="", flush=True)
        return result(self.suite.name, status, self.suite.report, took_s)

    def __str__(self) -> str:
        lines = self.suite.log.read_text(errors="replace").splitlines()
        last = next((line for line in reversed(lines) if line.strip()), "")
        return f"{self.suite.name}: {last.strip()[-60:]}"


def side_by_side(lanes: Sequence[Sequence[Suite]]) -> Iterator[Result]:
    """Run the suites of each lane one after the other, and the lanes at the same time; yield the result of each that ran when it is there.

    When this is interrupted, the suites that run are, too: they clean up, and end.
    """
    due, running, statuses = [list(lane) for lane in lanes], dict[int, Running](), dict[str, int]()
    started = reported = time.monotonic()
    try:
        while running or any(due):
            for lane in range(len(due)):
                if lane in running and running[lane].process.poll() is not None:
                    ended = running.pop(lane).end()
                    statuses[ended.suite] = ended.status
                    yield ended
                due[lane] = [suite for suite in due[lane] if not any(statuses.get(name) for name in suite.stands_on)]
                if lane not in running and due[lane] and due[lane][0].stands_on <= statuses.keys():
                    running[lane] = _start(due[lane].pop(0))
            if (now := time.monotonic()) - reported > REPORT_EVERY_S:
                reported = now
                print(f"[{now - started:5.0f} s] {' | '.join(map(str, running.values()))}", file=sys.stderr, flush=True)
            time.sleep(_LOOK_EVERY_S)
    finally:
        for each in running.values():
            each.process.send_signal(signal.SIGINT)
        for each in running.values():
            each.process.wait()


def _start(suite: Suite) -> Running:
    suite.report.parent.mkdir(exist_ok=True)
    suite.report.unlink(missing_ok=True)
    with suite.log.open("wb") as log:
        # A new process group: Ctrl-C reaches it once, through `side_by_side`, and pytest's clean-up is not interrupted again.
        process = subprocess.Popen(suite.command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0)
    return Running(suite, process)
