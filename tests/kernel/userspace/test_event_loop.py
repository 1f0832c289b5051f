"""The event loop goes on while the proxy process is given thousands of routes: a first sync, changes, an audit and the removal."""

from __future__ import annotations

from contextlib import closing

import pytest
from tests.kernel.event_loop import EXPECTED, LONGEST_S, observe
from tests.support.netns.namespace import namespaces
from tests.support.polling import patience

from proxyconfig_agent.dataplane.userspace.userspace import Userspace

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(600)]

SERVICES = 2000


def test_no_turn_of_the_event_loop_takes_long_while_routes_are_made_and_removed() -> None:
    """In CPU time of the event loop's thread, whatever else runs on the machine."""
    with namespaces("node") as spaces, closing(spaces["node"].call(Userspace)) as mode:
        seen = spaces["node"].call(lambda: observe(mode, SERVICES))
    print(f"\n{seen}")
    assert seen.outcomes == EXPECTED
    assert seen.longest_work_s < LONGEST_S * patience()
