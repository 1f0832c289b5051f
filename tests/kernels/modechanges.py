"""The tables of docs/modes.md: every change of the mode under traffic, and the ways back, on this machine and on Linux 6.1.

`python -m tests.kernels mode-changes` runs the tests and writes them; the rows of an earlier run stay where a test has not passed.
"""

from __future__ import annotations

import itertools
import re
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tests.kernels import machine
from tests.kernels.machine import Task
from tests.kernels.suite import REPORT, pytest_words
from tests.support.scenarios.scenario import MODES

BOUND_S = 3600
PAGE = machine.ROOT / "docs" / "modes.md"
HERE, ELSEWHERE = "tests/kernel/mode_changes", "tests/kernels/mode_changes"
FORWARD, BACK = "test_a_change_of_the_mode_loses_nothing_and_leaves_nothing", "test_a_node_goes_back_from_a_mode_that_is_held"
_KINDS = {"connection": "request", "connections": "connection", "datagrams": "datagram"}
_COUNTS = "on open connections | connections made | datagrams | lost | open connections kept"
HEADS = {FORWARD: f"| from | to | {_COUNTS} | of the old mode there is left |", BACK: f"| back to | from | {_COUNTS} | after |"}
_LAST = {FORWARD: "left", BACK: "back after"}
Row = Mapping[str, str]
"""What a test has recorded, by name."""


def run(program: Path) -> int:
    """Run the tests on both kernels, and write what they came to; the worst exit status."""
    with machine.shared() as here, machine.shared() as there:
        native = subprocess.run(pytest_words(here, HERE), cwd=machine.ROOT, check=False).returncode
        other = machine.run(program, Task(pytest_words(there, ELSEWHERE)), there, BOUND_S)
        write([here / REPORT, there / REPORT])
    return max(native, other)


def write(reports: Iterable[Path]) -> None:
    """Put the rows of these reports into the page, in place of those that it has for the same changes."""
    fresh = [(test, pair, row) for report in reports for test, pair, row in rows(report)]
    page = PAGE.read_text()
    for test, head in HEADS.items():
        lines = {pair: line(test, pair, row) for of, pair, row in fresh if of == test}
        page = _with_table(page, head, lines)
    PAGE.write_text(page)


def rows(report: Path) -> Iterator[tuple[str, tuple[str, str], Row]]:
    """Test, modes and record of what has passed."""
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 (pytest has just written it)
        test, _, pair = str(case.get("name")).rstrip("]").partition("[")
        old, _, new = pair.partition("-")
        if test in HEADS and not {part.tag for part in case} & {"failure", "error", "skipped"}:
            yield test, (old, new), {str(each.get("name")): str(each.get("value")) for each in case.iter("property")}


def line(test: str, pair: tuple[str, str], row: Row) -> str:
    """One row of a table."""
    sent = (f"{int(row[f'{kind} sent']):,}" for kind in _KINDS)
    lost = ", ".join(f"{count} {word}{'s' * (count > 1)}" for kind, word in _KINDS.items() if (count := int(row[f"{kind} lost"])))
    kept = f"{row['connections kept']} of 4"
    return f"| {' | '.join((*pair, *sent, lost or 'nothing', kept, row[_LAST[test]]))} |"


def _with_table(page: str, head: str, lines: Mapping[tuple[str, str], str]) -> str:
    """The page, with these lines in the table that has this head; in the order of the modes."""
    before, _, behind = page.partition(head + "\n")
    table = re.match(r"(\|.*\n)*", behind)
    assert table is not None
    separator, *there = table.group().splitlines()
    merged = {_pair(each): each for each in there} | dict(lines)
    ordered = [merged[pair] for pair in itertools.permutations(MODES, 2) if pair in merged]
    return "\n".join((before + head, separator, *ordered)) + "\n" + behind[table.end() :]


def _pair(row: str) -> tuple[str, str]:
    _, old, new, *_ = (cell.strip() for cell in row.split("|"))
    return old, new
