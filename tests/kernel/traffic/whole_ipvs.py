"""Every case of the table in our ipvs mode, and a sample of the traffic policies in the real kube-proxy's, which takes a sync of minutes.

python -m tests.kernels count complete ipvs-table
python -m tests.kernels run complete --api-server --bound 7200 -- .venv/bin/pytest tests/kernel/traffic/whole_ipvs.py -k kube-proxy
"""

from __future__ import annotations

import pytest
from tests.kernel.traffic.cast import IPVS_WHOLE, Group, parameters_of
from tests.kernel.traffic.stage import Report, Theatre
from tests.support.results import CASES

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("group", parameters_of(IPVS_WHOLE))
def test_traffic(group: Group, theatre: Theatre, record_property: Report) -> None:
    record_property(CASES, len(group.cases))

    assert not (problems := list(theatre.problems(group))), "\n".join(problems)
