"""Work that takes long, outside of the event loop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


SWITCH_S = 0.001
"""How long a worker thread keeps the interpreter while the event loop waits for it, so that each of its system calls takes 1 ms longer
and not 5, as with Python's default. A worker thread that makes short system calls more often than that keeps it for longer: each one
wakes the event loop, which finds the interpreter taken again, and waits anew."""


def configure() -> None:
    """To be called once, at the start of the process."""
    sys.setswitchinterval(SWITCH_S)


class Offload(Protocol):
    """Does some work and returns what it returns, or raises what it raises."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


async def in_thread(work: Callable[[], T]) -> T:
    """In a worker thread, while the event loop goes on. Ends no earlier than the work, even when cancelled: nobody else may use what it
    uses before that."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        running.exception()  # retrieved: it is of no interest any more
        raise cancelled
    return running.result()
