"""Sockets and timers of one thread. Not asyncio: a connection costs one registration, and no task, future or buffer."""

from __future__ import annotations

import heapq
import itertools
import select
import time
from collections import deque
from collections.abc import Callable

EVENTS = 256
"""Sockets that are served between two looks at the clock."""

OnEvents = Callable[[int], None]
"""Gets epoll's event mask."""


class Timer:
    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class EventLoop:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, OnEvents] = {}
        self._ready: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._serial = itertools.count()
        self.running = True

    def now(self) -> float:
        return time.monotonic()

    def register(self, descriptor: int, events: int, handler: OnEvents) -> None:
        """Raises OSError (ENOSPC, ENOMEM) if the kernel watches no more."""
        self._epoll.register(descriptor, events)
        self._handlers[descriptor] = handler

    def hand_over(self, descriptor: int, handler: OnEvents) -> None:
        """Another handler from now on, for the same events."""
        self._handlers[descriptor] = handler

    def unregister(self, descriptor: int) -> None:
        """Before the descriptor is closed; fine if it is not registered."""
        if self._handlers.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def call_soon(self, callback: Callable[[], None]) -> None:
        """When the others have had their turn."""
        self._ready.append(callback)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(callback)
        heapq.heappush(self._timers, (self.now() + delay_s, next(self._serial), timer))
        return timer

    def run(self) -> None:
        """Until `running` is false."""
        while self.running:
            self.step()

    def step(self) -> None:
        """Wait for what is due, and do it."""
        for descriptor, events in self._epoll.poll(self._patience_s(), EVENTS):
            # An earlier handler of this round may have closed it.
            if handler := self._handlers.get(descriptor):
                handler(events)
        for _ in range(len(self._ready)):
            self._ready.popleft()()
        self._run_timers()

    def _patience_s(self) -> float:
        if self._ready:
            return 0.0
        return max(0.0, self._timers[0][0] - self.now()) if self._timers else -1.0

    def _run_timers(self) -> None:
        now = self.now()
        while self._timers and self._timers[0][0] <= now:
            _, _, timer = heapq.heappop(self._timers)
            if timer.callback is not None:
                timer.callback()
