"""How many connections and flows the process has at once: as many as it has descriptors for."""

from __future__ import annotations

import resource

from msgspec import Struct

RESERVED = 64
"""Descriptors for everything else."""


class Slots(Struct):
    """So many at once, and no more."""

    free: int

    def take(self) -> bool:
        if self.free <= 0:
            return False
        self.free -= 1
        return True

    def give_back(self) -> None:
        self.free += 1


class Limits(Struct, frozen=True):
    """Descriptors, shared out: a connection has two, a pipe two, a flow one."""

    connections: int
    pipes: int
    flows: int


def raised() -> int:
    """Raise the limit of descriptors as far as it goes, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def shared_out(descriptors: int) -> Limits:
    """Two thirds of them for connections, a sixth each for pipes and flows. Where pipes run out, connections copy."""
    usable = max(0, descriptors - RESERVED)
    return Limits(connections=usable // 3, pipes=usable // 12, flows=usable // 6)
