"""A process in a network namespace that writes to a log, and its end."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.netns.namespace import Namespace
from tests.netns.peers import ROOT


def start(namespace: Namespace, argv: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start it in the project's root; the log begins anew. The caller ends it."""
    with log.open("w") as output:
        return namespace.spawn(*argv, cwd=ROOT, stdout=output, stderr=output, env=environment)


@contextlib.contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Kill it at the end, whatever happens inside."""
    try:
        yield process
    finally:
        process.kill()
        process.wait()
