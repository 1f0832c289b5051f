"""Requests while the API server is away."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterator

import pytest

from proxyconfig_cli.cluster.retries import Retries
from proxyconfig_client.connection.errors import ApiError, ClientError, StreamError

REFUSED = ConnectionRefusedError("Connect call failed")
TOLD = ["the API server is away: Connect call failed; trying again", "the API server answers again"]


def asked(*outcomes: Exception | str, within_s: float = 60) -> tuple[list[str], list[str], float]:
    """The answers to requests that end like these, one after the other; what was told; and for how long the clock stood still."""
    told, left = list[str](), iter(outcomes)

    async def ask_all() -> tuple[list[str], float]:
        retries = Retries(told.append, within_s=within_s)
        answers = [await retries.ask(lambda: _outcome(left)) for _ in range(sum(isinstance(each, str) for each in outcomes))]
        return answers, time.monotonic() - retries.now()

    answers, stood_s = asyncio.run(ask_all())
    return answers, told, stood_s


async def _outcome(left: Iterator[Exception | str]) -> str:
    outcome = next(left)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


@pytest.mark.parametrize(
    "error",
    [REFUSED, TimeoutError(), StreamError("the response was cut off"), ApiError(503, "", ""), ApiError(429, "", ""), ApiError(500, "", "")],
)
def test_a_request_is_tried_again_until_the_api_server_answers(error: Exception) -> None:
    assert asked("a", error, "b")[0] == ["a", "b"]


def test_an_outage_is_told_once_when_it_begins_and_when_it_ends_and_no_time_passes_meanwhile() -> None:
    _, told, stood_s = asked("a", REFUSED, REFUSED, "b", "c")
    assert told == TOLD
    assert stood_s > 1


def test_what_fails_before_the_first_answer_fails_at_once() -> None:
    with pytest.raises(ConnectionRefusedError):
        asked(REFUSED, "a")


@pytest.mark.parametrize("error", [ApiError(403, "Forbidden", ""), ApiError(404, "NotFound", ""), ssl.SSLCertVerificationError("expired")])
def test_what_does_not_pass_by_itself_fails_at_once(error: Exception) -> None:
    with pytest.raises(type(error)):
        asked("a", error, "b")


def test_an_api_server_that_stays_away_ends_the_command_with_its_last_words() -> None:
    with pytest.raises(ClientError, match=r"the API server has been away for 1s: Connect call failed"):
        asked("a", REFUSED, REFUSED, "b", within_s=0.5)
