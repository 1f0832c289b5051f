"""Random choices, all of them: a run that asks `among` is repeated until every way was gone once, each with its probability."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """One way. Where the script ends the first alternative that is possible is taken."""

    def __init__(self, script: Sequence[int] = ()) -> None:
        self._script = script
        self._made: list[tuple[int, Sequence[Fraction]]] = []
        self.probability = Fraction(1)

    def among(self, shares: Sequence[Fraction]) -> int:
        """One of the alternatives, by its index; the shares add up to one."""
        turn = len(self._made)
        chosen = self._script[turn] if turn < len(self._script) else _possible(shares, 0)
        self._made.append((chosen, shares))
        self.probability *= shares[chosen]
        return chosen

    def evenly(self, count: int) -> int:
        return self.among([Fraction(1, count)] * count)

    def next_script(self) -> list[int] | None:
        """The way to go next; None if this was the last."""
        for turn in range(len(self._made) - 1, -1, -1):
            chosen, shares = self._made[turn]
            following = _possible(shares, chosen + 1)
            if following < len(shares):
                return [made for made, _ in self._made[:turn]] + [following]
        return None


def every_way(run: Callable[[Choices], T]) -> Iterator[tuple[Fraction, T]]:
    """What `run` comes to on every way, with the probability of that way; they add up to one."""
    script: list[int] | None = []
    while script is not None:
        choices = Choices(script)
        result = run(choices)
        yield choices.probability, result
        script = choices.next_script()


def _possible(shares: Sequence[Fraction], start: int) -> int:
    """The first alternative from `start` on that can happen."""
    return next((index for index in range(start, len(shares)) if shares[index]), len(shares))
