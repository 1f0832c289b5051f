"""A clock for tests: it stands still until it is moved, and its wall clock may be set as an administrator or NTP sets it."""

from __future__ import annotations

from proxyconfig_client.process.clock import Clock

START_S = 1_700_000_000.0
"""2023-11-14T22:13:20Z"""


class FakeClock:
    def __init__(self) -> None:
        self._passed_s = self._set_by_s = 0.0
        self.clock = Clock(lambda: self._passed_s, lambda: START_S + self._passed_s + self._set_by_s)

    def advance(self, seconds: float) -> None:
        self._passed_s += seconds

    def set_wall(self, by_s: float) -> None:
        """Move the wall clock alone."""
        self._set_by_s += by_s
