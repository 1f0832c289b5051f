"""A sample of the table in ipvs mode, where the kernel has IPVS; `whole_ipvs.py` has all of it."""

from __future__ import annotations

import pytest
from tests.kernel.traffic.cast import IPVS_SAMPLE, Part, cases_of
from tests.kernel.traffic.stage import Theatre, expected
from tests.support.scenarios.cases import Case, Round

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(600)]


@pytest.mark.parametrize(("part", "round_", "case"), cases_of(IPVS_SAMPLE))
def test_traffic(part: Part, round_: Round, case: Case, theatre: Theatre) -> None:
    answers = theatre.stage(part).answers_of(case, round_)

    problem = case.judge(expected(case, part), answers)
    assert not problem, problem
