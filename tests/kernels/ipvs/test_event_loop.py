"""The event loop goes on while thousands of destinations are made and deleted: a first sync, changes, an audit and the removal."""

from __future__ import annotations

import pytest
from tests.kernel.event_loop import EXPECTED, LONGEST_S, observe
from tests.kernels.conftest import Start
from tests.kernels.node import Node
from tests.support.polling import patience

from proxyconfig_agent.dataplane.ipvs.ipvs import Ipvs

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(600)]

SERVICES = 1000


def test_no_turn_of_the_event_loop_takes_long_at_any_sync(node: Node, start: Start) -> None:
    """In CPU time of the event loop's thread, whatever else runs on the machine."""
    seen = node.space.call(lambda: observe(start(Ipvs), SERVICES))
    print(f"\n{seen}")
    assert seen.outcomes == EXPECTED
    assert seen.longest_work_s < LONGEST_S * patience()
