"""Rounds of probes that begin at a pace, also beside those that have no answers yet; their answers come in the order of the beginnings."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from proxyconfig_agent.checks.probes.model import Answer
from proxyconfig_agent.controller.change.pace import Pace

Answers = tuple[Answer, ...]


class Rounds:
    """Of one change: `ask` is one round, and never raises. `end` has to be called."""

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, Answers]]) -> None:
        self._ask, self._loop = ask, asyncio.get_running_loop()
        self._unanswered: deque[asyncio.Task[Answers]] = deque()
        self._begun_at: float | None = None

    async def answers(self, pace: Pace, moved: asyncio.Event) -> Answers | None:
        """Of the oldest round; None as soon as `moved` is set. Rounds that are due meanwhile begin."""
        end = asyncio.ensure_future(moved.wait())
        try:
            while not end.done():
                wait_s = self._begin_due(pace)
                await asyncio.wait((end, *list(self._unanswered)[:1]), timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                if self._unanswered and self._unanswered[0].done():
                    return self._unanswered.popleft().result()
        finally:
            end.cancel()
        return None

    def end(self) -> None:
        """Those without answers are of no use any more."""
        for each in self._unanswered:
            each.cancel()

    def _begin_due(self, pace: Pace) -> float | None:
        """Returns the seconds until the next round may begin; None: not before an answer."""
        now = self._loop.time()
        if len(self._unanswered) < pace.at_once and (self._begun_at is None or now >= self._begun_at + pace.every_s):
            self._unanswered.append(self._loop.create_task(self._ask()))
            self._begun_at = now
        full = len(self._unanswered) >= pace.at_once
        return None if full or self._begun_at is None else self._begun_at + pace.every_s - now
