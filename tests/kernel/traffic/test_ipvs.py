"""A sample of the table in ipvs mode, where the kernel has IPVS; `whole_ipvs.py` has all of it."""

from __future__ import annotations

import pytest
from tests.kernel.traffic.cast import IPVS_SAMPLE, Group, parameters_of
from tests.kernel.traffic.stage import Report, Theatre
from tests.support.results import CASES

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(600)]


@pytest.mark.parametrize("group", parameters_of(IPVS_SAMPLE))
def test_traffic(group: Group, theatre: Theatre, record_property: Report) -> None:
    record_property(CASES, len(group.cases))

    assert not (problems := list(theatre.problems(group))), "\n".join(problems)
