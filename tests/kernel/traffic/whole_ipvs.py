"""Every case of the table in ipvs mode, ours and the real kube-proxy's: too many for each run of all tests. They have a command:

python -m tests.kernels count complete ipvs-table
"""

from __future__ import annotations

import pytest
from tests.kernel.traffic.cast import IPVS_WHOLE, Part, cases_of
from tests.kernel.traffic.stage import Theatre, expected
from tests.support.scenarios.cases import Case, Round

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(3600)]


@pytest.mark.parametrize(("part", "round_", "case"), cases_of(IPVS_WHOLE))
def test_traffic(part: Part, round_: Round, case: Case, theatre: Theatre) -> None:
    answers = theatre.stage(part).answers_of(case, round_)

    problem = case.judge(expected(case, part), answers)
    assert not problem, problem
