"""The sample of the table: small, and of every kind something."""

from __future__ import annotations

from tests.support.scenarios.cases import Case, rounds_of
from tests.support.scenarios.sample import sample
from tests.support.scenarios.scenario import load

ROUNDS = rounds_of(load(), mode="ipvs")
WHOLE = [case for round_ in ROUNDS for case in round_.cases]
SAMPLE = [case for round_ in sample(ROUNDS) for case in round_.cases]


def step_and_client(case: Case) -> str:
    return case.id.partition("->")[0]


def test_every_step_of_every_scenario_and_each_of_its_clients_is_in_it() -> None:
    assert {step_and_client(case) for case in SAMPLE} == {step_and_client(case) for case in WHOLE}


def test_protocols_and_families_are_in_it_about_equally_often() -> None:
    for kind in ({case.protocol for case in WHOLE}, {case.family for case in WHOLE}):
        shares = [sum(each in (case.protocol, case.family) for case in SAMPLE) / len(SAMPLE) for each in kind]
        assert min(shares) > 0.8 / len(kind)


def test_it_is_less_than_an_eighth_of_the_table() -> None:
    assert len(SAMPLE) < len(WHOLE) / 8


def test_objects_are_those_of_the_whole_table() -> None:
    assert [round_.objects for round_ in sample(ROUNDS)] == [round_.objects for round_ in ROUNDS]
