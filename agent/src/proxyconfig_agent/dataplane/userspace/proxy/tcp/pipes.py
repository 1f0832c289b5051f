"""Pipes: the kernel's buffers between two sockets of a connection. A direction has one while something is under way in it."""

from __future__ import annotations

import os

from msgspec import Struct

SPARE = 64
"""Empty pipes that are kept for the next direction."""


class Pipe(Struct, frozen=True):
    """The ends of a pipe, neither of which blocks."""

    output: int
    input: int

    def close(self) -> None:
        os.close(self.output)
        os.close(self.input)


class Pipes:
    """At most `limit` at the same time, so that descriptors are left for connections."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._spare: list[Pipe] = []
        self._made = 0

    def acquire(self) -> Pipe | None:
        """An empty pipe; None if there are too many."""
        if self._spare:
            return self._spare.pop()
        if self._made >= self._limit:
            return None
        try:
            pipe = Pipe(*os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError:
            return None
        self._made += 1
        return pipe

    def release(self, pipe: Pipe) -> None:
        """Give an empty pipe back."""
        if len(self._spare) < SPARE:
            self._spare.append(pipe)
        else:
            self.discard(pipe)

    def discard(self, pipe: Pipe) -> None:
        """Close a pipe with whatever is in it."""
        pipe.close()
        self._made -= 1
