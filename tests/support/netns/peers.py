"""The programs that send and answer: an `echo.py` in each backend, a `probe.py` in each client, one per session."""

from __future__ import annotations

import contextlib
import json
import select
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

from tests.support.netns.namespace import Namespace
from tests.support.netns.programs import running

START_S = 60

Flow = Mapping[str, Any]
Answers = dict[str, int]


@contextlib.contextmanager
def echoing(space: Namespace, name: str, addresses: Iterable[str], ports: Iterable[int]) -> Iterator[None]:
    """A server in `space` that answers as `name` on all the addresses and ports, over TCP, UDP and SCTP."""
    options = [word for address in addresses for word in ("--address", address)]
    options += [word for port in ports for word in ("--port", str(port))]
    with running("echo", name, *options, space=space) as server:
        readable, _, _ = select.select([server.stdout], [], [], START_S)
        if not readable or server.stdout.readline().strip() != "ready":
            raise AssertionError(f"the server {name} did not start within {START_S} s")
        yield


class Prober:
    """A client in a namespace, for as many questions as there are."""

    def __init__(self, asked: IO[str], answers: IO[str]) -> None:
        """The standard input and output of `probe.py`."""
        self._asked, self._answers = asked, answers

    def ask(self, flows: Sequence[Flow]) -> list[Answers]:
        """Ask all flows side by side; for each, how often it got which answer."""
        self.send(flows)
        return self.receive()

    def send(self, flows: Sequence[Flow]) -> None:
        """Begin; `receive` has the answers. Lets several clients work at the same time."""
        self._asked.write(json.dumps(list(flows)) + "\n")
        self._asked.flush()

    def receive(self) -> list[Answers]:
        """The answers to what was sent before."""
        line = self._answers.readline()
        assert line, "the client has ended"
        answers: list[Answers] = json.loads(line)
        return answers


@contextlib.contextmanager
def probing(space: Namespace | None) -> Iterator[Prober]:
    """A client in `space`; None: where this process is."""
    with running("probe", space=space) as program:
        yield Prober(program.stdin, program.stdout)
