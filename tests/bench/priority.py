"""Gives what is measured, and what measures, priority over whatever else runs on the machine: others wait, so that results do not."""

from __future__ import annotations

import os
from pathlib import Path

HIGHEST = -20


def prefer(pid: int) -> None:
    """Give a process (and what it starts) the highest priority: among processes, and for its session among sessions.

    With autogroups the kernel shares CPUs between sessions first; a process's own priority counts only inside its session.
    """
    os.setpriority(os.PRIO_PROCESS, pid, HIGHEST)
    session = Path(f"/proc/{pid}/autogroup")
    if session.exists():
        session.write_text(str(HIGHEST))
