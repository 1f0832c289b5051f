"""Long-running components: started detached with a log, remembered by pid and start time, stopped by exactly that.

A pid alone may belong to somebody else after a crash; together with the start time it is one process for ever.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import ComponentError, ToolMissingError


@dataclass(frozen=True, slots=True)
class Process:
    """One process that was started, whether it still runs or not."""

    name: str
    pid: int
    started: int
    log: Path

    def alive(self) -> bool:
        """Return whether exactly this process still runs."""
        return start_time(self.pid) == self.started

    def wait(self, within_s: float) -> bool:
        """Wait for its end; return whether it has ended."""
        with _watched(self) as descriptor:
            ended = descriptor is None or bool(select.select([descriptor], [], [], within_s)[0])
        if ended:
            _reap(self.pid)
        return ended

    def stop(self, grace_s: float = 10) -> None:
        """End it: asked first, after `grace_s` seconds by force (at once with 0)."""
        for number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 30)):
            if patience_s and self.alive():
                self.signal(number)
                self.wait(patience_s)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to exactly this process; nothing if it has ended."""
        with _watched(self) as descriptor:
            if descriptor is not None:
                signal.pidfd_send_signal(descriptor, number)

    def ready_when(self, probe: Callable[[], bool], within_s: float, advice: str) -> None:
        """Wait until `probe` says yes.

        Raises ComponentError if the process ends first or `within_s` passes.
        """
        deadline = time.monotonic() + within_s
        while not probe():
            if self.wait(0.05):
                raise ComponentError(self.name, "ended while it started", self.log, advice)
            if time.monotonic() > deadline:
                raise ComponentError(self.name, f"was not ready within {within_s:.0f} s", self.log, advice)


def start(
    name: str, command: Sequence[str | Path], folder: Path, *, namespace: str | None = None, env: Mapping[str, str] | None = None
) -> Process:
    """Start a component detached (in a network namespace if one is named); log and pid are kept in `folder`."""
    words = [str(word) for word in command]
    if namespace is not None:
        words = ["nsenter", f"--net=/run/netns/{namespace}", *words]
    program = shutil.which(words[0])
    if program is None:
        raise ToolMissingError(f"`{words[0]}` is not on this machine. Run `python3 -m tests.cluster packages` first.")
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}.log"
    to_log = (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), to_log, (os.POSIX_SPAWN_DUP2, 1, 2)]
    # A new session: Ctrl-C ends the program that starts a cluster, which then ends the components in order.
    pid = os.posix_spawn(program, words, dict(env or os.environ), file_actions=actions, setsid=True)
    process = Process(name, pid, start_time(pid) or 0, log)
    (folder / f"{name}.pid").write_text(json.dumps({"pid": pid, "started": process.started}))
    return process


def remembered(folder: Path) -> Iterator[Process]:
    """Return the processes that were started with this folder, by this or an earlier run."""
    for file in sorted(folder.glob("*.pid")):
        kept = json.loads(file.read_text())
        yield Process(file.stem, kept["pid"], kept["started"], file.with_suffix(".log"))


def start_time(pid: int, *, ended: bool = False) -> int | None:
    """Return when a process started, in clock ticks since boot; None if there is none or, unless `ended`, only its zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" and not ended else int(fields[19])


@contextmanager
def _watched(process: Process) -> Iterator[int | None]:
    """Give a descriptor that stands for exactly this process; None if it has ended."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        yield None
        return
    try:
        # A zombie may still have threads that hold its sockets; the descriptor tells when the last one has ended.
        yield descriptor if start_time(process.pid, ended=True) == process.started else None
    finally:
        os.close(descriptor)


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return  # started by an earlier run: init has reaped it
