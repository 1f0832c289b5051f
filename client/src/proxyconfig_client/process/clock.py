"""The two clocks of a process. A wall clock may be set while we wait, so nothing is timed by it."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import Struct


class Clock(Struct, frozen=True):
    """`monotonic` for waiting and durations, `wall` for stamps and for comparison with times of the API server (Unix seconds)."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
