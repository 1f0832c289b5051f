"""What a process has used, from the kernel's own accounts: CPU time with its children's, and resident memory."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_CPU_CLOCK_OF_PROCESS = 2


def cpu_s(pid: int) -> float:
    """CPU seconds of a process (to the nanosecond, from its CPU clock) and of its children that have ended (to the tick)."""
    own_s = time.clock_gettime((~pid << 3) | _CPU_CLOCK_OF_PROCESS)
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return own_s + (int(fields[13]) + int(fields[14])) / _TICKS_PER_S


def rss_mib(pid: int) -> float:
    """Resident memory of a process; 0 if it has ended."""
    return _status_mib(pid, "VmRSS")


def peak_rss_mib(pid: int) -> float:
    """The most that a process had so far; 0 if it has ended."""
    return _status_mib(pid, "VmHWM")


def children_rss_mib(pid: int) -> float:
    """Resident memory of the children that run now (kube-proxy's nft)."""
    return sum(rss_mib(child) for child in _children(pid))


def _status_mib(pid: int, field: str) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    kib = next((line.split()[1] for line in status.splitlines() if line.startswith(f"{field}:")), "0")
    return int(kib) / 1024


def _children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread may end while we look
            yield from map(int, task.read_text().split())
