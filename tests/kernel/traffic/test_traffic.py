"""Every case of the scenarios, with real packets on a real kernel, for our modes and for the real kube-proxy in the same modes."""

from __future__ import annotations

import pytest
from tests.kernel.traffic.cast import PARTS, Group, parameters_of
from tests.kernel.traffic.stage import Report, Theatre
from tests.support.results import CASES

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(600)]


@pytest.mark.parametrize("group", parameters_of(PARTS))
def test_traffic(group: Group, theatre: Theatre, record_property: Report) -> None:
    record_property(CASES, len(group.cases))

    assert not (problems := list(theatre.problems(group))), "\n".join(problems)
