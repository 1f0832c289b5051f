"""Clients that never stop asking, and what became of their requests: a `traffic.py` as a process in a namespace."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from tests.support.netns.namespace import Namespace
from tests.support.netns.programs import Program

PACE_S = 0.02


@dataclass(frozen=True, slots=True)
class Flow:
    """Requests of one kind (`connection`, `connections`, `datagrams`) to one address."""

    kind: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Told:
    """What became of the requests of one flow."""

    kind: str
    place: str
    sent: int
    lost: Sequence[str]
    kept: bool


class Client:
    """A process in a namespace that sends flows."""

    def __init__(self, space: Namespace, flows: Sequence[Flow], pace_s: float = PACE_S) -> None:
        self._place, self._flows = space.label, flows
        self._program = Program("traffic", (json.dumps([asdict(flow) for flow in flows]), str(pace_s)), space)

    def await_first_answers(self) -> None:
        assert self._program.stdout.readline() == "ready\n", f"{self._place}: the client has ended"

    def stop(self) -> None:
        self._program.stdin.close()

    def told(self) -> Iterator[Told]:
        for flow, told in zip(self._flows, json.loads(self._program.stdout.read()), strict=True):
            yield Told(flow.kind, f"{self._place} {flow.address}", **told)

    def kill(self) -> None:
        self._program.close()


@contextlib.contextmanager
def asking(clients: Sequence[Client], told: list[Told]) -> Iterator[None]:
    """From the first answer to every flow until some requests after the end; then `told` has what became of all."""
    with contextlib.ExitStack() as ends:
        for client in clients:
            ends.callback(client.kill)
        for client in clients:
            client.await_first_answers()
        yield
        for client in clients:
            client.stop()
        for client in clients:
            told += client.told()
