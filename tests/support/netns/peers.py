"""The processes that send and answer: an `echo.py` in each backend, a `probe.py` in each client, one per session."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.netns.namespace import Namespace

ROOT = Path(__file__).parents[3]
START_S = 60

Flow = Mapping[str, Any]
Answers = dict[str, int]


@contextlib.contextmanager
def echoing(space: Namespace, name: str, addresses: Iterable[str], ports: Iterable[int]) -> Iterator[None]:
    """A server in `space` that answers as `name` on all the addresses and ports, over TCP, UDP and SCTP."""
    options = [word for address in addresses for word in ("--address", address)]
    options += [word for port in ports for word in ("--port", str(port))]
    with _running(space, "tests.support.netns.echo", name, *options) as server:
        assert server.stdout is not None
        readable, _, _ = select.select([server.stdout], [], [], START_S)
        if not readable or server.stdout.readline().strip() != "ready":
            raise AssertionError(f"the server {name} did not start within {START_S} s")
        yield


class Prober:
    """A client in a namespace, for as many questions as there are."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, flows: Sequence[Flow]) -> list[Answers]:
        """Ask all flows side by side; for each, how often it got which answer."""
        self.send(flows)
        return self.receive()

    def send(self, flows: Sequence[Flow]) -> None:
        """Begin; `receive` has the answers. Lets several clients work at the same time."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(list(flows)) + "\n")
        self._process.stdin.flush()

    def receive(self) -> list[Answers]:
        """The answers to what was sent before."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"the client ended with {self._process.wait()}")
        answers: list[Answers] = json.loads(line)
        return answers


@contextlib.contextmanager
def probing(space: Namespace | None) -> Iterator[Prober]:
    """A client process in `space`; None: where this process is."""
    with _running(space, "tests.support.netns.probe") as process:
        yield Prober(process)


@contextlib.contextmanager
def _running(space: Namespace | None, module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", module, *arguments]
    argv = space.argv(*command) if space else command
    process = subprocess.Popen(argv, text=True, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
