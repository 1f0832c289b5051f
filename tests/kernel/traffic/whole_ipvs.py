"""Every case of the table in ipvs mode, ours and the real kube-proxy's: too many for each run of all tests. They have a command:

python -m tests.kernels count complete ipvs-table
"""

from __future__ import annotations

import pytest
from tests.kernel.traffic.cast import IPVS_WHOLE, Group, tests_of
from tests.kernel.traffic.stage import CASES, Report, Theatre

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("group", tests_of(IPVS_WHOLE))
def test_traffic(group: Group, theatre: Theatre, record_property: Report) -> None:
    record_property(CASES, len(group.cases))

    assert not (problems := list(theatre.problems(group))), "\n".join(problems)
