"""The kernel tests of all modes on one kernel, part by part, counted: `python -m tests.kernels count KERNEL`; hours with the whole tables.

Each part has a boot, within reach of an API server. What a part does not run on any such kernel is named in CONTRIBUTING.md.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.kernels import machine, outside
from tests.kernels.machine import Task
from tests.kernels.suite import REPORT, pytest_words
from tests.support.results import Result, result

BOUND_S = 7200
PARTS: Mapping[str, tuple[str, ...]] = {
    "nftables": ("tests/kernel/nftables", "--ignore=tests/kernel/nftables/test_speed.py"),
    "iptables": ("tests/kernel/iptables", "tests/kernel/iptables_port"),
    "ipvs": ("tests/kernels/ipvs",),
    "adoption": ("tests/kernels/adoption",),
    "shadow": ("tests/kernels/shadow",),
    "userspace": ("tests/kernel/userspace",),
    "node": ("tests/kernel/node",),
    "faults": ("tests/kernel/faults", "--ignore=tests/kernel/faults/test_giving_back.py"),
    "giving-back": ("tests/kernel/faults/test_giving_back.py",),
    "mode-changes": ("tests/kernel/mode_changes", "tests/kernels/mode_changes"),
    "live": tuple(f"tests/kernel/traffic/test_{name}.py" for name in ("work", "live", "metrics", "shares")),
    "simulator": ("tests/kernel/simulator", "tests/kernel/operator"),
    "ipvs-sample": ("tests/kernel/traffic/test_ipvs.py",),
    "ipvs-table": ("tests/kernel/traffic/whole_ipvs.py", "-k", "not kube-proxy"),
    "table": ("tests/kernel/traffic/test_traffic.py",),
}


def run(program: Path, chosen: Iterable[str]) -> int:
    """Run these parts one after the other, and print a table of what they came to; return the worst exit status."""
    results = [_result(program, part) for part in chosen]
    print("\n".join(_table(results)), flush=True)
    return max((each.status for each in results), default=0)


def _result(program: Path, part: str) -> Result:
    print(f"-- {program.name}: {part}", flush=True)
    began = time.monotonic()
    with machine.shared() as folder:
        try:
            status = outside.run(program, Task(pytest_words(folder, *PARTS[part])), folder, BOUND_S)
        except ClusterError as error:
            print(error, file=sys.stderr, flush=True)
            status = 1
        return result(part, status, folder / REPORT, time.monotonic() - began)


def _table(results: Iterable[Result]) -> Iterator[str]:
    yield "| part | passed | failed | skipped | cases of the behaviour table | s |"
    yield "|---|---|---|---|---|---|"
    for each in results:
        yield f"| {each.suite} | {each.passed:,} | {each.failed} | {each.skipped} | {each.cases:,} | {each.took_s:.0f} |"
