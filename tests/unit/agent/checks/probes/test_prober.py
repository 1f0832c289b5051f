"""Attempts beside each other, in a time that no clock of the machine moves."""

from __future__ import annotations

import asyncio
import errno
import os

import pytest
from tests.support import virtualtime

from proxyconfig_agent.checks.probes.model import Absent, Answer, Kind, Target
from proxyconfig_agent.checks.probes.prober import ATTEMPTS, probe
from proxyconfig_agent.ingest.addresses import parse_address
from proxyconfig_agent.ingest.model import Family
from proxyconfig_api.status.rollout import ProbeResult
from proxyconfig_client.process.clock import Clock

TIMEOUT_S = 1.5
PASSED = Answer("web", ProbeResult.PASSED, family=Family.IPV4)
TARGET = Target("web", Kind.TCP, parse_address("10.96.0.1"), 80)


class Server:
    """Each attempt takes so long, and then raises, or not; the last behaviour stays."""

    def __init__(self, *behaviours: tuple[float, OSError | None]) -> None:
        self._behaviours = behaviours
        self.asked = self.open = 0

    async def __call__(self, _: Target) -> None:
        took_s, error = self._behaviours[min(self.asked, len(self._behaviours) - 1)]
        self.asked += 1
        self.open += 1
        try:
            await asyncio.sleep(took_s)
        finally:
            self.open -= 1
        if error is not None:
            raise error


def result_of(server: Server, *targets: Target | Absent) -> tuple[tuple[Answer, ...], float]:
    """What came of it, and after how many seconds."""

    async def scenario(clock: Clock) -> tuple[tuple[Answer, ...], float]:
        return await probe(targets or (TARGET,), TIMEOUT_S, server), clock.monotonic()

    return virtualtime.run(scenario)


REFUSED = OSError(errno.ECONNREFUSED, "Connect call failed ('10.96.0.1', 80)")


def test_one_answer_is_enough() -> None:
    server = Server((0.1, None))
    results, after_s = result_of(server)
    assert results == (PASSED,)
    assert after_s == pytest.approx(0.1)
    assert (server.asked, server.open) == (1, 0)


@pytest.mark.parametrize("first", [(100.0, None), (0.0, REFUSED)])
def test_a_lost_packet_or_one_refusal_is_no_failure(first: tuple[float, OSError | None]) -> None:
    server = Server(first, (0.01, None))
    results, after_s = result_of(server)
    assert results == (PASSED,)
    assert after_s == pytest.approx(TIMEOUT_S / ATTEMPTS + 0.01)
    assert server.open == 0


def test_silence_is_a_failure_when_the_time_is_up() -> None:
    server = Server((100.0, None))
    results, after_s = result_of(server)
    assert results == (Answer("web", ProbeResult.FAILED, "TCP 10.96.0.1:80: no answer within 1.5 s", Family.IPV4),)
    assert after_s == pytest.approx(TIMEOUT_S)
    assert (server.asked, server.open) == (ATTEMPTS, 0)


def test_refusals_are_told_in_the_kernels_words() -> None:
    (result,), after_s = result_of(Server((0.0, REFUSED)))
    assert result.message == f"TCP 10.96.0.1:80: {os.strerror(errno.ECONNREFUSED)}"
    assert after_s < TIMEOUT_S


def test_many_targets_take_no_longer_than_one() -> None:
    results, after_s = result_of(Server((100.0, None)), *([TARGET] * 30), Absent("dns", "there is none"))
    assert [result.result for result in results] == [ProbeResult.FAILED] * 30 + [ProbeResult.NOT_APPLICABLE]
    assert after_s == pytest.approx(TIMEOUT_S)
