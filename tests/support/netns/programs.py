"""Programs of the tests that run in namespaces, forked by one server per session (`forkserver`)."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TextIO

from tests.support.netns.namespace import Namespace

ROOT = Path(__file__).parents[3]
_one_at_a_time = threading.Lock()


class Program:
    """A running program. It ends with this process, as its standard input does."""

    def __init__(self, name: str, arguments: tuple[str, ...], space: Namespace | None) -> None:
        """Start it in `space`; None: where this process is."""
        read, self_write = os.pipe()
        self_read, write = os.pipe()
        self.stdin: TextIO = open(self_write, "w")  # noqa: SIM115 (`close` does)
        self.stdout: TextIO = open(self_read)  # noqa: SIM115
        request = {"program": name, "arguments": arguments, "namespace": str(space.path) if space else None}
        try:
            self._pidfd = _ask(json.dumps(request).encode(), [read, write])
        finally:
            os.close(read)
            os.close(write)

    def close(self) -> None:
        """Kill it, and wait until it has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        ended = select.poll()
        ended.register(self._pidfd, select.POLLIN)
        ended.poll()
        os.close(self._pidfd)
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()
        self.stdout.close()


@contextlib.contextmanager
def running(name: str, *arguments: str, space: Namespace | None) -> Iterator[Program]:
    """The program `name` in `space`; None: where this process is. Killed at the end."""
    with contextlib.closing(Program(name, arguments, space)) as program:
        yield program


def _ask(request: bytes, descriptors: list[int]) -> int:
    with _one_at_a_time:
        server = _server()
        socket.send_fds(server, [request], descriptors)
        _, answered, _, _ = socket.recv_fds(server, 1, 1, socket.MSG_CMSG_CLOEXEC)
    assert answered, "the fork server has ended"
    return answered[0]


@cache
def _server() -> socket.socket:
    """The socket of the server, which is started now and ends with this process."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        # -S: what it runs needs nothing that is installed.
        process = subprocess.Popen([sys.executable, "-S", "-m", "tests.support.netns.forkserver"], cwd=ROOT, stdin=its.fileno())
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours
