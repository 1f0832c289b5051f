"""A sample of the table, for a mode whose whole table takes too long for every run of all tests."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace

from tests.support.scenarios.cases import Case, Round


def sample(rounds: Iterable[Round]) -> list[Round]:
    """One case of each line of `expect` and each of its clients.

    Which one changes from each to the next: so kinds of addresses, protocols and families are all there, about equally often.
    """
    turns = itertools.count()
    return [replace(round_, cases=tuple(_one_of_each(round_.cases, turns))) for round_ in rounds]


def _one_of_each(cases: Iterable[Case], turns: Iterator[int]) -> Iterator[Case]:
    for _, members in itertools.groupby(cases, lambda case: (case.id.partition("->")[0], id(case.expectation))):
        alike = list(members)
        yield alike[next(turns) % len(alike)]
