"""Requests of a command that waits, tried again while the API server is away, as while it starts again."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from proxyconfig_api.values.duration import Duration
from proxyconfig_cli.cluster.failures import cause_of
from proxyconfig_client.connection.errors import ApiError, ClientError, is_outage

POLL_S = 1.0
"""Between two looks at the cluster, and between two attempts."""
T = TypeVar("T")


class Retries:
    """Away is an API server that does not answer, or with 5xx or 429. `tell` gets a sentence when that begins and when it ends.

    What fails before the first answer fails at once: then it is the address that is wrong more often than the server."""

    def __init__(self, tell: Callable[[str], None], *, within_s: float = math.inf, until: float = math.inf) -> None:
        """`within_s`: how long the API server may be away at a time; `until`: when, by time.monotonic(), nothing is tried again."""
        self._tell, self._within_s, self._until = tell, within_s, until
        self._answered, self._away_s = False, 0.0

    def now(self) -> float:
        """Seconds of a clock that stands still while the API server is away: nobody could report meanwhile."""
        return time.monotonic() - self._away_s

    async def ask(self, request: Callable[[], Awaitable[T]]) -> T:
        """What the request returns; it may be sent more than once. Raises its error, or ClientError when its time is over."""
        begun = time.monotonic()
        try:
            answer = await request()
        except (OSError, ClientError) as error:
            if not self._answered or not is_outage(error):
                raise
            answer = await self._ask_again(request, error, begun)
        self._answered = True
        return answer

    async def _ask_again(self, request: Callable[[], Awaitable[T]], error: Exception, begun: float) -> T:
        self._tell(f"the API server is away: {_words(error)}; trying again")
        while time.monotonic() <= min(begun + self._within_s, self._until):
            await asyncio.sleep(max(POLL_S, error.retry_after_s if isinstance(error, ApiError) else 0))
            try:
                answer = await request()
            except (OSError, ClientError) as caught:
                if not is_outage(caught):
                    raise
                error = caught
            else:
                self._away_s += time.monotonic() - begun
                self._tell("the API server answers again")
                return answer
        away = Duration(int(time.monotonic() - begun))
        raise ClientError(f"the API server has been away for {away}: {_words(error)}") from error


def _words(error: Exception) -> str:
    return cause_of(error) if isinstance(error, OSError) else str(error)
