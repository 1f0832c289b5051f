"""How long to wait after the n-th failure in a row."""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST_S, CAP_S = 0.8, 30.0
"""As client-go's reflector (800 ms to 30 s), so that thousands of agents leave a struggling API server room to recover."""


class Backoff:
    """Doubling waits up to a cap, each cut to 50–100 % at random so that many clients do not return in the same moment."""

    def __init__(self, first_s: float = FIRST_S, cap_s: float = CAP_S, chance: Callable[[], float] = random.random) -> None:
        self._first_s, self._cap_s, self._chance = first_s, cap_s, chance
        self._failures = 0

    def wait_s(self) -> float:
        """The wait before the next attempt; counts one failure."""
        whole = min(self._cap_s, self._first_s * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return whole * (0.5 + self._chance() / 2)

    def succeeded(self) -> None:
        self._failures = 0
