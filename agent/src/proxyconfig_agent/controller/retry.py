"""One timer for what has failed: a probe of a mode, or a removal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

RETRY_S = 15.0


class RetryTimer:
    """`wake` is called when it is time to try again. However often `later` is called, there is one timer."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._handle: asyncio.TimerHandle | None = None

    @property
    def waits(self) -> bool:
        return self._handle is not None

    def later(self) -> None:
        """Try again in RETRY_S seconds; if a try is due already, then."""
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_later(RETRY_S, self._due)

    def reset(self) -> None:
        """Another order may be tried at once."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _due(self) -> None:
        self._handle = None
        self._wake()
