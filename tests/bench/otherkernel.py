"""A mode that this machine's kernel cannot do, measured on one that can: user-mode Linux, an ordinary process with one processor."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

import msgspec
from tests.bench import environment, machine
from tests.bench.report import Report
from tests.cluster import binaries
from tests.cluster.errors import ClusterError
from tests.kernels import build
from tests.kernels import machine as kernel
from tests.kernels.machine import Task

KERNEL = "complete"
WITHIN_S = 5400
_REPORT = "report.json"


def compared(mode: str, words: Sequence[str]) -> Report:
    """Run this command there, with these words behind the mode; the report says where the mode was measured.

    Raises ClusterError.
    """
    program = build.ensure()[KERNEL]
    # What is made in there does not stay.
    binaries.ensure("etcd", "kubernetes")
    environment.ready_python()
    with kernel.shared() as folder:
        into = folder / _REPORT
        command = (sys.executable, "-m", "tests.bench", "--modes", mode, "--report", str(into), *words)
        if status := kernel.run(program, Task(command), folder, WITHIN_S):
            raise ClusterError(f"the benchmark of {mode} mode ended with {status} on the kernel {program.name}")
        return replace(msgspec.json.decode(into.read_bytes(), type=Report), machine=machine.description())
