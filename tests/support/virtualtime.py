"""An event loop that skips the time in which nothing is to be done: hours of many processes in milliseconds, alike in each run."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from proxyconfig_client.process.clock import Clock

T = TypeVar("T")

START_S = 1_700_000_000.0


def run(scenario: Callable[[Clock], Coroutine[Any, Any, T]], delivery_s: float = 0.0) -> T:
    """Run a scenario, given the clock of its loop.

    `delivery_s`: how long, in real time, the kernel may take to deliver on a socket that both ends of are in the loop. On a busy machine
    it does not deliver at once, and a wait for an answer would seem to take as long as its timeout.
    """
    loop = _Loop(delivery_s)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(scenario(Clock(loop.time, lambda: START_S + loop.time())))


class _Selector(selectors.DefaultSelector):
    """Skips the time that it would wait for, but not while threads work: that takes no time here."""

    passed_s = 0.0
    threads = 0

    def __init__(self, delivery_s: float) -> None:
        super().__init__()
        self._delivery_s = delivery_s

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or (timeout and self.threads):
            return super().select()
        ready = super().select(min(timeout, self._delivery_s))
        if not ready:
            self.passed_s += timeout
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, delivery_s: float) -> None:
        self._virtual = _Selector(delivery_s)
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.passed_s

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        self._virtual.threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._thread_has_ended)
        return future

    def _thread_has_ended(self, _: object) -> None:
        self._virtual.threads -= 1
