"""The event loop goes on while programs run: a first sync, changes, an audit and the removal in iptables mode."""

from __future__ import annotations

import pytest
from tests.kernel.event_loop import EXPECTED, LONGEST_S, observe
from tests.kernel.iptables_port.conftest import Node
from tests.support.polling import patience

from proxyconfig_agent.dataplane.iptables.iptables import Iptables

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(600)]

SERVICES = 400
"""Of 10 endpoints each: about a second of iptables-restore."""


def test_the_event_loop_goes_on_while_programs_run(node: Node) -> None:
    tables = node.space.call(Iptables)
    try:
        seen = node.space.call(lambda: observe(tables, SERVICES))
    finally:
        tables.close()
    assert seen.outcomes == EXPECTED
    assert max(seen.delays_s) < seen.told[0].took_s / 2
    assert seen.longest_work_s < LONGEST_S * patience()
