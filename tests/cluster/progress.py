"""What a user reads while a cluster is built and started: one line per step on stderr, with the time it took so far."""

from __future__ import annotations

import sys
import time

STARTED = time.monotonic()


def say(words: str) -> None:
    """Print one line about what is done now."""
    print(f"[{time.monotonic() - STARTED:5.0f} s] {words}", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Return seconds as people say them: `45 s`, `3 min 20 s`."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"
