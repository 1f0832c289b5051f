"""A queue of names for a level-triggered reconcile: coalesces, spaces, retries with back-off.

A name waits at most once, never runs concurrently with itself, and at least `interval_s` after its last run. After failures it runs
again in up to 1, 2, 4 … 300 s; an event, which may be what was missing, brings it forward.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import NoReturn

from proxyconfig_client.process.backoff import Backoff

BACKOFF_FIRST_S, BACKOFF_CAP_S = 1.0, 300.0


class RetryError(Exception):
    """The work could not be done now, for a reason outside of us; the message is logged, and the name tried again."""


class Queue:
    def __init__(
        self, interval_s: float, retrying: Callable[[str, float, RetryError], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`retrying(name, wait_s, error)` is called for each failure; `clock` is monotonic, in seconds, and that of the event loop."""
        self._interval_s, self._retrying, self._clock = interval_s, retrying, clock
        self._due: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._failing: dict[str, Backoff] = {}
        self._wake = asyncio.Event()
        self.busy_since: float | None = None
        """When (monotonic) the work that is going on began."""

    def add(self, name: str, after_s: float = 0.0) -> None:
        """Let the work on `name` run soon, or in `after_s` seconds if it does not run earlier anyway."""
        at = max(self._clock() + after_s, self._last.get(name, 0.0) + self._interval_s)
        at = min(at, self._due.get(name, at))
        self._due[name] = at
        self._wake.set()

    async def run(self, work: Callable[[str], Awaitable[float | None]]) -> NoReturn:
        """Run `work(name)` for each name that is due.

        It returns in how many seconds it is to run again, or None; it may raise RetryError.
        """
        while True:
            await self._run_one(work, await self._next())

    async def _next(self) -> str:
        while True:
            self._wake.clear()
            name, at = min(self._due.items(), key=lambda due: due[1], default=("", float("inf")))
            wait_s = at - self._clock()
            if wait_s <= 0:
                del self._due[name]
                return name
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if wait_s == float("inf") else wait_s):
                    await self._wake.wait()

    async def _run_one(self, work: Callable[[str], Awaitable[float | None]], name: str) -> None:
        self.busy_since = now = self._clock()
        self._last = {each: at for each, at in self._last.items() if now < at + self._interval_s} | {name: now}
        try:
            again_in_s = await work(name)
        except RetryError as error:
            again_in_s = self._failing.setdefault(name, Backoff(BACKOFF_FIRST_S, BACKOFF_CAP_S)).wait_s()
            self.add(name, again_in_s)
            self._retrying(name, again_in_s, error)
            return
        finally:
            self.busy_since = None
        self._failing.pop(name, None)
        if again_in_s is not None:
            self.add(name, again_in_s)
