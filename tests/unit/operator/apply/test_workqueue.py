"""When work is done: coalesced, spaced, retried."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from proxyconfig_operator.apply.workqueue import Queue, RetryError

INTERVAL_S = 0.05


async def worked(queue: Queue, work: Callable[[str], Awaitable[float | None]], until: Callable[[], bool], within_s: float = 30) -> None:
    """Run the queue until something holds."""
    running = asyncio.create_task(queue.run(work))
    try:
        async with asyncio.timeout(within_s):
            while not until():  # noqa: ASYNC110 - what is waited for is not an event
                await asyncio.sleep(0.005)
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


class Work:
    """Notes when it ran for whom, and answers from a list."""

    def __init__(self, *answers: float | RetryError | None) -> None:
        self.ran: list[tuple[str, float]] = []
        self._answers = list(answers)

    async def __call__(self, name: str) -> float | None:
        self.ran.append((name, asyncio.get_running_loop().time()))
        answer = self._answers.pop(0) if self._answers else None
        if isinstance(answer, RetryError):
            raise answer
        return answer


def queue() -> Queue:
    return Queue(INTERVAL_S, lambda _name, _wait_s, _error: None)


async def test_many_wakes_are_one_run() -> None:
    made, work = queue(), Work()
    for _ in range(100):
        made.add("a")
    made.add("b")

    await worked(made, work, lambda: len(work.ran) == 2)

    assert sorted(name for name, _ in work.ran) == ["a", "b"]


async def test_runs_of_a_name_are_spaced_and_a_wake_in_between_is_not_lost() -> None:
    made, work = queue(), Work()
    started = asyncio.get_running_loop().time()  # the queue counts from before the work notes anything
    made.add("a")
    await worked(made, work, lambda: len(work.ran) == 1)
    made.add("a")
    await worked(made, work, lambda: len(work.ran) == 2)

    assert work.ran[1][1] - started >= INTERVAL_S * 0.9


async def test_who_asks_for_it_runs_again() -> None:
    made, work = queue(), Work(0.1)
    made.add("a")

    await worked(made, work, lambda: len(work.ran) == 2)

    assert work.ran[1][1] - work.ran[0][1] >= 0.09


async def test_a_failure_is_told_and_tried_again_later_and_later() -> None:
    told: list[tuple[str, float]] = []
    made = Queue(INTERVAL_S, lambda name, wait_s, _error: told.append((name, wait_s)))
    work = Work(RetryError("no"), RetryError("no"))
    made.add("a")

    await worked(made, work, lambda: len(told) == 2)

    (first, first_s), (second, second_s) = told
    assert (first, second) == ("a", "a")
    assert 0.5 <= first_s <= 1.0 <= second_s <= 2.0


async def test_a_failing_name_holds_up_no_other() -> None:
    made, work = queue(), Work(RetryError("no"))
    made.add("a")
    made.add("b", 0.01)

    await worked(made, work, lambda: len(work.ran) >= 2)

    assert [name for name, _ in work.ran][:2] == ["a", "b"]


async def test_an_event_brings_a_retry_forward() -> None:
    made, work = queue(), Work(RetryError("no"))
    made.add("a")
    await worked(made, work, lambda: len(work.ran) == 1)

    made.add("a")
    made.add("b", 0.5)
    await worked(made, work, lambda: len(work.ran) == 3)

    assert [name for name, _ in work.ran] == ["a", "a", "b"]
