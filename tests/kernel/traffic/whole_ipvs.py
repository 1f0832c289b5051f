"""Every case of the table in our ipvs mode, and in the real kube-proxy's.

kube-proxy starts a process for each entry of an ip set: its first sync takes ten minutes on Linux 6.1 as a process, all of it half an hour.

python -m tests.kernels count complete ipvs-table
python -m tests.kernels run complete --api-server --bound 7200 -- .venv/bin/pytest tests/kernel/traffic/whole_ipvs.py -k kube-proxy
"""

from __future__ import annotations

import pytest
from tests.acceptance.upstreamipvs import because
from tests.kernel.traffic.cast import IPVS_UPSTREAM, IPVS_WHOLE, Group, parameters_of
from tests.kernel.traffic.stage import Report, Theatre
from tests.support.results import CASES

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("group", parameters_of(IPVS_WHOLE))
def test_traffic(group: Group, theatre: Theatre, record_property: Report) -> None:
    record_property(CASES, len(group.cases))

    assert not (problems := list(theatre.problems(group))), "\n".join(problems)


@pytest.mark.parametrize("group", parameters_of(IPVS_UPSTREAM))
def test_traffic_of_the_real_kube_proxy_differs_only_for_known_reasons(group: Group, theatre: Theatre, record_property: Report) -> None:
    record_property(CASES, len(group.cases))

    verdicts = [(case, problem, because(case)) for case, problem in theatre.verdicts(group)]
    unknown = [f"{case.id}: {problem}" for case, problem, reason in verdicts if problem and not reason]
    gone = {reason for _, _, reason in verdicts} - {reason for _, problem, reason in verdicts if problem} - {""}
    assert not unknown, "\n".join(unknown)
    assert not gone, "it does as our mode, in spite of the reason"
