"""Operators as processes that are forked from one that has imported them already, with what tests use of `subprocess.Popen`."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import IO

REPOSITORY = Path(__file__).parents[2]


class Forked:
    """An operator that was started with these arguments; `log` gets what it prints."""

    def __init__(self, arguments: Sequence[str], log: IO[bytes]) -> None:
        hears, told = os.pipe()
        socket.send_fds(_server(), [json.dumps(list(arguments)).encode()], [log.fileno(), told])
        os.close(told)
        self._hears = os.fdopen(hears, "rb", buffering=0)
        self._said = b""
        self._status: int | None = None
        while b"\n" not in self._said:
            assert self._listen(120), "no operator was forked"
        self.pid = int(self._said.split(b"\n")[0])

    def poll(self) -> int | None:
        """The exit status, if it has ended."""
        while self._status is None and self._listen(0):
            pass
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        while self._status is None:
            if not self._listen(timeout):
                raise subprocess.TimeoutExpired("an operator", timeout or 0)
        return self._status

    def send_signal(self, number: signal.Signals) -> None:
        """Nothing if it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _listen(self, within_s: float | None) -> bool:
        """Whether there was anything to hear within that time."""
        if not select.select([self._hears], [], [], within_s)[0]:
            return False
        heard = self._hears.read(64)
        assert heard, "the parent of an operator has ended before it"
        self._said += heard
        if self._said.count(b"\n") == 2:
            self._status = int(self._said.split(b"\n")[1])
            self._hears.close()
        return True


@cache
def _server() -> socket.socket:
    """The socket of the process that forks; it ends with this process."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        command = [sys.executable, "-W", "error", "-m", "tests.apiserver.operatorserver"]
        server = subprocess.Popen(command, stdin=its.fileno(), cwd=REPOSITORY)

    def end() -> None:
        ours.close()
        server.wait()

    atexit.register(end)
    return ours
