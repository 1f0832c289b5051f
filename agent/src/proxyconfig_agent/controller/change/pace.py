"""When the rounds of probes of a change begin. Pure.

While the node may go back they overlap: one that fails takes the whole time of a probe. With the default of a second for it, what fails
brings the node back within two: at most ASK_S until a round begins, ASK_S until the next one, and the second that this one takes.
"""

from __future__ import annotations

from msgspec import Struct

from proxyconfig_agent.controller.change.change import FAILED, ROUNDS, Change, Phase

ASK_S = 0.3
"""Between the beginnings of two rounds."""

FAILED_ASK_S = 5.0
"""The same after a failure that the node is not to go back for."""


class Pace(Struct, frozen=True):
    """A round begins `every_s` seconds, as long as fewer than `at_once` have no answers yet."""

    every_s: float
    at_once: int


_ONE = Pace(FAILED_ASK_S, 1)
_NEXT_BESIDE = Pace(ASK_S, ROUNDS)


def pace_of(change: Change) -> Pace | None:
    """None: there is nothing to ask."""
    match change.phase:
        case Phase.ASKING:
            return _ONE
        case Phase.PROBING | Phase.HOLDING:
            return _ONE if change.reason == FAILED else _NEXT_BESIDE
    return None


def asks_the_same(change: Change, asked: Change) -> bool:
    """Whether the answers to what was asked for one tell of the other: the same rules are in force."""
    return (change.new, change.old, _is_before(change)) == (asked.new, asked.old, _is_before(asked))


def _is_before(change: Change) -> bool:
    return change.phase is Phase.ASKING
