"""Asks all targets at once, and each one more than once: a lost packet is no failure."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable

from proxyconfig_agent.checks.probes.attempt import attempt
from proxyconfig_agent.checks.probes.model import Absent, Answer, Target
from proxyconfig_api.status.rollout import ProbeResult

ATTEMPTS = 3
"""Each begins when its part of the time is up, beside those before."""

Attempt = Callable[[Target], Awaitable[None]]


async def probe(targets: Iterable[Target | Absent], timeout_s: float, ask: Attempt = attempt) -> tuple[Answer, ...]:
    """The answers in the order of the targets, after `timeout_s` at the latest. Never raises."""
    return tuple(await asyncio.gather(*(_answer(each, timeout_s, ask) for each in targets)))


async def _answer(target: Target | Absent, timeout_s: float, ask: Attempt) -> Answer:
    if isinstance(target, Absent):
        return Answer(target.name, ProbeResult.NOT_APPLICABLE, target.why)
    wrong = await _first_answer(target, timeout_s, ask)
    if not wrong:
        return Answer(target.name, ProbeResult.PASSED, family=target.family)
    return Answer(target.name, ProbeResult.FAILED, f"{target}: {wrong}", target.family)


async def _first_answer(target: Target, timeout_s: float, ask: Attempt) -> str:
    """Empty as soon as one attempt succeeds; else, when all have failed or the time is up, what the last one met."""
    attempts = [asyncio.ensure_future(_later(number * timeout_s / ATTEMPTS, target, ask)) for number in range(ATTEMPTS)]
    wrong = f"no answer within {timeout_s:g} s"
    try:
        for ended in asyncio.as_completed(attempts, timeout=timeout_s):
            try:
                await ended
            except TimeoutError:
                break
            except OSError as error:
                # asyncio writes the address once more behind the kernel's words.
                wrong = os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
            else:
                return ""
    finally:
        for each in attempts:
            each.cancel()
        await asyncio.gather(*attempts, return_exceptions=True)
    return wrong


async def _later(after_s: float, target: Target, ask: Attempt) -> None:
    await asyncio.sleep(after_s)
    await ask(target)
