"""Rounds of probes that overlap."""

from __future__ import annotations

import asyncio

from tests.support import virtualtime

from proxyconfig_agent.checks.probes.model import Answer
from proxyconfig_agent.controller.change.pace import Pace
from proxyconfig_agent.controller.change.rounds import Answers, Rounds
from proxyconfig_api.status.rollout import ProbeResult
from proxyconfig_client.process.clock import Clock

PACE = Pace(0.3, 2)


class Probes:
    """Rounds that take the seconds given, the last of them for ever after; each answers with its number."""

    def __init__(self, clock: Clock, *took_s: float) -> None:
        self.clock, self.took_s = clock, took_s
        self.begun: list[float] = []
        self.ended = 0

    async def ask(self) -> Answers:
        number = len(self.begun)
        self.begun.append(round(self.clock.monotonic(), 3))
        try:
            await asyncio.sleep(self.took_s[min(number, len(self.took_s) - 1)])
        finally:
            self.ended += 1
        return (Answer(str(number), ProbeResult.PASSED),)


def test_a_round_begins_beside_one_without_answers_and_no_third_one() -> None:
    async def scenario(clock: Clock) -> list[float]:
        probes, moved = Probes(clock, 1.0), asyncio.Event()
        rounds = Rounds(probes.ask)
        for _ in range(3):
            await rounds.answers(PACE, moved)
        rounds.end()
        return probes.begun

    assert virtualtime.run(scenario)[:4] == [0.0, 0.3, 1.0, 1.3]


def test_rounds_that_are_answered_at_once_begin_at_the_pace() -> None:
    async def scenario(clock: Clock) -> list[float]:
        probes = Probes(clock, 0.0)
        rounds = Rounds(probes.ask)
        for _ in range(4):
            await rounds.answers(PACE, asyncio.Event())
        return probes.begun

    assert virtualtime.run(scenario) == [0.0, 0.3, 0.6, 0.9]


def test_answers_come_in_the_order_in_which_the_rounds_began() -> None:
    async def scenario(clock: Clock) -> list[tuple[str, float]]:
        rounds, found = Rounds(Probes(clock, 1.0, 0.1).ask), list[tuple[str, float]]()
        for _ in range(2):
            answers = await rounds.answers(PACE, asyncio.Event())
            assert answers is not None
            found.append((answers[0].name, clock.monotonic()))
        return found

    assert virtualtime.run(scenario) == [("0", 1.0), ("1", 1.0)]


def test_a_change_that_moves_ends_the_wait_and_keeps_the_rounds() -> None:
    async def scenario(clock: Clock) -> None:
        probes, moved = Probes(clock, 1.0), asyncio.Event()
        rounds = Rounds(probes.ask)
        asyncio.get_running_loop().call_later(0.1, moved.set)
        assert await rounds.answers(PACE, moved) is None
        assert (clock.monotonic(), probes.ended) == (0.1, 0)
        moved.clear()
        assert await rounds.answers(PACE, moved) == (Answer("0", ProbeResult.PASSED),)
        rounds.end()
        await asyncio.sleep(0)
        assert probes.ended == len(probes.begun)

    virtualtime.run(scenario)
