"""Every case of the scenarios, with real packets on a real kernel, for our modes and for the real kube-proxy in the same modes."""

from __future__ import annotations

import pytest
from tests.kernel.traffic.cast import PARTS, Part, cases_of
from tests.kernel.traffic.stage import Theatre, expected
from tests.support.scenarios.cases import Case, Round

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(600)]


@pytest.mark.parametrize(("part", "round_", "case"), cases_of(PARTS))
def test_traffic(part: Part, round_: Round, case: Case, theatre: Theatre) -> None:
    answers = theatre.stage(part).answers_of(case, round_)

    problem = case.judge(expected(case, part), answers)
    assert not problem, problem
