"""A process in a network namespace that writes to a log, and its end: with it end the programs that it has started."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.netns.namespace import Namespace
from tests.support.netns.programs import ROOT
from tests.support.polling import eventually


def start(namespace: Namespace, argv: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start it in the project's root; the log begins anew. The caller ends it."""
    with log.open("w") as output:
        return namespace.spawn(*argv, cwd=ROOT, stdout=output, stderr=output, env=environment, start_new_session=True)


@contextlib.contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Kill it at the end, whatever happens inside. An iptables-restore that it has just started works on: that is waited for, too."""
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        eventually(lambda: not working(process.pid), within_s=60)


def working(session: int) -> list[int]:
    """The processes of a session that have not ended; zombies have."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # Behind the program's name, which may have blanks: state, parent, process group, session.
            state, _, _, of = path.read_text(errors="replace").rpartition(")")[2].split()[:4]
            if int(of) == session and state not in "ZX":
                found.append(int(path.parent.name))
    return found
