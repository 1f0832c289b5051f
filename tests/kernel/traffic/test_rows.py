"""Which rows of kube-proxy's behaviour have a case: none that the nftables mode is to have may be lost."""

from __future__ import annotations

import re

import pytest
from tests.kernel.traffic import test_work
from tests.kernel.traffic.cast import PARTS
from tests.scenarios.scenario import load

pytestmark = pytest.mark.kernel

ROWS = frozenset(
    {*range(1, 11), 13, 22, 26, 29, 36, 37, 39, 43, 45, 46, 47, *range(52, 60), *range(75, 88), 92, 93, 94, *range(98, 103), 108}
)
OF_WORK = {
    84: test_work.test_nothing_is_sent_for_nothing,
    98: test_work.test_a_new_service_costs_the_same_however_many_there_are,
    102: test_work.test_nothing_is_sent_for_nothing,
    108: test_work.test_a_restart_sends_only_differences,
}
"""Rows about what is sent to the kernel, rather than about traffic."""


def test_every_row_has_a_scenario_with_cases_or_a_test_of_its_own() -> None:
    with_cases = {case.scenario for part in PARTS for round_ in part.rounds() for case in round_.cases}
    rows = {int(match[1]) for scenario in load() if scenario.id in with_cases and (match := re.match(r"row-(\d+)", scenario.id))}

    assert rows | OF_WORK.keys() >= ROWS


def test_ids_of_cases_are_unique_in_a_round() -> None:
    for round_ in (round_ for part in PARTS for round_ in part.rounds()):
        ids = [case.id for case in round_.cases]
        assert len(ids) == len(set(ids)), f"{round_.id}: {sorted({id_ for id_ in ids if ids.count(id_) > 1})[:3]}"
