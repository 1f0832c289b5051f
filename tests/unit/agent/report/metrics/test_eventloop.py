"""Every turn of the event loop is measured, and only turns wake it."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from proxyconfig_agent.report.metrics.eventloop import Turns, run

HELD_S = 0.05


def test_what_holds_the_event_loop_is_seen_however_short_of_the_next_look_it_is() -> None:
    seen: list[float] = []
    run(partial(_hold, seen))
    assert max(seen) >= HELD_S


def test_a_wait_for_a_timer_is_no_delay_and_takes_one_turn() -> None:
    seen: list[float] = []
    run(partial(_rest, seen))
    assert len(seen) <= 3


def test_a_timer_that_is_late_delays_its_turn() -> None:
    now = iter([0.0, 1.0, 4.5, 5.0, 5.0])  # made; begins to wait for no time, and has waited; the same again
    turns, seen = Turns(partial(next, now)), list[float]()
    turns.observe = seen.append
    turns.select(0)
    turns.select(0)
    turns.close()
    assert seen == [1.0, 4.0]


async def _hold(seen: list[float], turns: Turns) -> None:
    turns.observe = seen.append
    time.sleep(HELD_S)  # noqa: ASYNC251 - that is what must not happen
    await asyncio.sleep(0)


async def _rest(seen: list[float], turns: Turns) -> None:
    await asyncio.sleep(0)
    turns.observe = seen.append
    await asyncio.sleep(0.3)
    turns.observe = seen[:0].append
