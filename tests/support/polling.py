"""Waiting for the world in tests: poll with a deadline, and say what was seen last when it passes."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = "TESTS_PATIENCE"
"""The variable with the number by which deadlines are multiplied: a kernel that runs as a process may have a tenth of a processor."""
GROWTH, LONGEST_S = 1.15, 0.3
"""A look may start a program or ask a server, and most waits are short: a pause is a sixth of what was waited, at most."""


def eventually(probe: Callable[[], T], within_s: float = 30, every_s: float = 0.05, until: Callable[[T], bool] = bool) -> T:
    """Call `probe` until `until(result)` holds; return that result. AssertionError from `probe` counts as not yet.

    The first pause is `every_s`; the next ones are longer, up to `LONGEST_S`, if that is not less than `every_s`.

    Raises AssertionError with the last result (or the last assertion) after `within_s` seconds.
    """
    within_s *= patience()
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    while True:
        late = time.monotonic() > deadline  # asked before the probe: who was held up looks once more
        try:
            last: object = probe()
            if until(last):  # type: ignore[arg-type]
                return last  # type: ignore[return-value]
        except AssertionError as error:
            last = error
        if late:
            raise AssertionError(f"not within {within_s} s; last seen: {last!r}")
        pause.wait(every_s)
        every_s = max(every_s, min(every_s * GROWTH, LONGEST_S))


async def soon(probe: Callable[[], object], within_s: float = 30) -> None:
    """Wait, letting the event loop run, until `probe` says yes. Raises AssertionError after `within_s` seconds."""
    within_s *= patience()
    deadline = time.monotonic() + within_s
    while not probe():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        await asyncio.sleep(0.005)


def patience() -> int:
    """The number by which deadlines are multiplied."""
    return int(os.environ.get(PATIENCE, "1"))
