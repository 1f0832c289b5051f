"""The event loop goes on while thousands of Services are put together for the kernel: a first sync, changes, an audit and a removal."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.kernel.event_loop import EXPECTED, LONGEST_S, observe
from tests.support.polling import patience

from proxyconfig_agent.dataplane.nftables.nftables import Nftables

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(600)]

SERVICES = 5000


def test_no_turn_of_the_event_loop_takes_long_at_any_sync(start: Callable[[], Nftables]) -> None:
    """In CPU time of the event loop's thread, whatever else runs on the machine."""
    seen = observe(start(), SERVICES)
    assert seen.outcomes == EXPECTED
    print(f"\n{seen}")
    assert seen.longest_work_s < LONGEST_S * patience()
