"""How often the calling thread has read and written, as the kernel counts it."""

from __future__ import annotations

from pathlib import Path


def transfers() -> int:
    """Calls of read and write, also of pipes and of files in memory; to count is a few itself."""
    counted = dict(line.split(": ") for line in Path("/proc/thread-self/io").read_text().splitlines())
    return int(counted["syscr"]) + int(counted["syscw"])
