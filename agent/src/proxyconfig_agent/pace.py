"""When the runner may sync again. Pure: times in, times out; all of them monotonic seconds."""

from __future__ import annotations

from dataclasses import dataclass

REST = 2.0
"""After a change that took t to commit, others are gathered for 2 × t: at once when idle, a third of the time at most under load."""

LONGEST_REST_S = 1.0

FULL_REST = 20.0
"""A resync that took t is not repeated for somebody else's changes within 20 × t: a twentieth of the time at most."""

SHORTEST_FULL_REST_S = 0.5


@dataclass(frozen=True, slots=True)
class Pace:
    """The times that a user sets; `full_s` and `poll_s` 0: never."""

    min_s: float = 0.0
    full_s: float = 3600.0
    poll_s: float = 1.0


def rest_after_change_s(pace: Pace, took_s: float) -> float:
    return max(pace.min_s, min(LONGEST_REST_S, REST * took_s))


def rest_after_full_s(took_s: float) -> float:
    return max(SHORTEST_FULL_REST_S, FULL_REST * took_s)
