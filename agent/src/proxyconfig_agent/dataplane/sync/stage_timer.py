"""Seconds per stage, for `Outcome.took_s`."""

from __future__ import annotations

import time


class StageTimer:
    def __init__(self) -> None:
        self.took_s: dict[str, float] = {}
        self._since = time.perf_counter()

    def lap(self, stage: str) -> None:
        """What passed since the last lap went into `stage`."""
        now = time.perf_counter()
        self.took_s[stage] = self.took_s.get(stage, 0.0) + now - self._since
        self._since = now
