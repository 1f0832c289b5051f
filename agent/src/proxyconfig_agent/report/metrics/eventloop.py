"""How long the event loop leaves waiting what is due: nothing may hold it for longer than a tenth of a second.

Measured where the loop waits for events. So no turn is missed, and an idle loop is not woken up to be measured.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any


def _nothing(_seconds: float) -> None:
    pass


class Turns(selectors.EpollSelector):
    """The selector of an event loop. `observe` gets the seconds of each turn: the work between two waits, and how late the wait before it
    ended where nothing but a timer was due."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock, self._began_at = clock, clock()
        self.observe: Callable[[float], None] = _nothing

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        waits_at = self._clock()
        self.observe(waits_at - self._began_at)
        found = super().select(timeout)
        self._began_at = self._clock() if found or timeout is None else min(waits_at + max(timeout, 0.0), self._clock())
        return found


def run(main: Callable[[Turns], Coroutine[Any, Any, None]]) -> None:
    """As asyncio.run, on a loop that measures its turns."""
    turns = Turns()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(turns)) as runner:
        runner.run(main(turns))
