"""Every way of random choices is gone once, with its probability."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from proxyconfig_agent.checks.walker.choices import Choices, every_way


def test_choices_that_depend_on_choices_are_all_made() -> None:
    def run(choices: Choices) -> str:
        first = choices.evenly(2)
        return f"{first}{choices.evenly(3) if first else ''}"

    assert {way: share for share, way in every_way(run)} == {
        "0": Fraction(1, 2),
        "10": Fraction(1, 6),
        "11": Fraction(1, 6),
        "12": Fraction(1, 6),
    }


def test_what_cannot_happen_is_no_way() -> None:
    shares = [Fraction(0), Fraction(1), Fraction(0)]
    assert list(every_way(lambda choices: choices.among(shares))) == [(Fraction(1), 1)]


@given(st.lists(st.integers(1, 4), max_size=4))
def test_probabilities_add_up_to_one(counts: list[int]) -> None:
    ways = list(every_way(lambda choices: tuple(choices.evenly(count) for count in counts)))
    assert sum(share for share, _ in ways) == 1
    assert len({way for _, way in ways}) == len(ways)
