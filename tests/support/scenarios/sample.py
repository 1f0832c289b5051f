"""A sample of the table, for a mode whose whole table takes too long for every run of all tests."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from tests.support.scenarios.cases import Case, Round


def sample(rounds: Iterable[Round]) -> list[Round]:
    """One case of each line of `expect` and each of its clients.

    Which one changes from each to the next: so kinds of addresses, protocols and families are all there, about equally often.
    """
    turns = itertools.count()
    return [replace(round_, cases=tuple(_one_of(round_.cases, turns, _line_and_client))) for round_ in rounds]


def brief(rounds: Iterable[Round]) -> list[Round]:
    """Of the sample, one case of each scenario in each of its steps, in turns as well: for what leads to the same places by other rules."""
    turns = itertools.count()
    return [replace(round_, cases=tuple(_one_of(round_.cases, turns, lambda case: case.scenario))) for round_ in sample(rounds)]


def _line_and_client(case: Case) -> tuple[str, int]:
    return case.id.partition("->")[0], id(case.expectation)


def _one_of(cases: Iterable[Case], turns: Iterator[int], kind: Callable[[Case], object]) -> Iterator[Case]:
    for _, members in itertools.groupby(cases, kind):
        alike = list(members)
        yield alike[next(turns) % len(alike)]
