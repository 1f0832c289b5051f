"""The jumps that lead packets to the mode's chains: taken and given back, with both back ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from tests.kernel.in_namespace import Entered
from tests.kernel.iptables_port.conftest import Node
from tests.kernel.nftables.examples import SETTINGS, every_kind

from proxyconfig_agent.dataplane.modes.ownership import Ownership

pytestmark = pytest.mark.kernel


def test_without_its_jumps_everything_else_stays_as_it_is(node: Node, dataplane: Entered) -> None:
    node.iptables("-t", "nat", "-A", "PREROUTING", "-j", "RETURN")
    dataplane.resync(SETTINGS, every_kind())
    before = node.everything()
    for _ in range(2):
        assert dataplane.disarm()
        gone = Counter(before) - Counter(node.everything())
        assert Counter(node.everything()) <= Counter(before)
        assert len(gone) >= 10
        assert all(line.split(" ")[1] in ("PREROUTING", "OUTPUT", "POSTROUTING", "INPUT", "FORWARD") and "KUBE-" in line for line in gone)
        assert not any("KUBE-FIREWALL" in line for line in gone)
    for _ in range(2):
        dataplane.arm()
        assert node.everything() == before


def test_chains_that_nobody_owns_are_not_disarmed(node: Node, dataplane: Entered, start: Callable[[], Entered]) -> None:
    dataplane.resync(SETTINGS, every_kind())
    before = node.everything()
    node.space.call(lambda: Ownership().release())
    assert not start().disarm()
    assert node.everything() == before
