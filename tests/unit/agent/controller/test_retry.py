from __future__ import annotations

import asyncio

from tests.support import virtualtime

from proxyconfig_agent.controller.retry import RETRY_S, RetryTimer
from proxyconfig_client.process.clock import Clock


def test_there_is_one_timer_however_often_it_is_asked_for() -> None:
    async def scenario(_: Clock) -> list[int]:
        due, seen = 0, []

        def wake() -> None:
            nonlocal due
            due += 1

        timer = RetryTimer(wake)
        for _number in range(10):
            timer.later()
        await asyncio.sleep(RETRY_S - 1)
        seen.append(due)
        await asyncio.sleep(10 * RETRY_S)
        return [*seen, due]

    assert virtualtime.run(scenario) == [0, 1]


def test_a_reset_timer_does_not_go_off_and_can_be_set_again() -> None:
    async def scenario(_: Clock) -> list[bool]:
        due = asyncio.Event()
        timer = RetryTimer(due.set)
        timer.later()
        timer.reset()
        await asyncio.sleep(10 * RETRY_S)
        seen = [due.is_set(), timer.waits]
        timer.later()
        seen.append(timer.waits)
        await asyncio.sleep(RETRY_S + 1)
        return [*seen, due.is_set(), timer.waits]

    assert virtualtime.run(scenario) == [False, False, True, True, False]
