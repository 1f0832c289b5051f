"""Every case of tests/scenarios, with real packets on a real kernel, for our agent and for the real kube-proxy."""

from __future__ import annotations

import pytest
from tests.kernel.traffic.conftest import ROUNDS, SUBJECTS
from tests.kernel.traffic.stage import Stage, expected
from tests.kernel.traffic.subject import Subject
from tests.scenarios.cases import Case, Round

pytestmark = pytest.mark.kernel

CASES = [pytest.param(case, round_, id=case.id) for round_ in ROUNDS for case in round_.cases]


@pytest.mark.parametrize("subject", SUBJECTS, indirect=True, scope="module")
@pytest.mark.parametrize(("case", "round_"), CASES)
def test_traffic(case: Case, round_: Round, subject: Subject, stage: Stage) -> None:
    answers = stage.answers_of(case, round_)

    problem = case.judge(expected(case, subject), answers)
    assert not problem, problem
