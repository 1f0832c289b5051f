"""ipvs mode with the rules that the kernel can have, of nf_tables or of iptables: the same tests run on a kernel of each kind."""

from __future__ import annotations

import pytest
from tests.kernel.in_namespace import Entered
from tests.kernel.nftables.examples import SETTINGS, each_kind_once, every_kind
from tests.kernels.conftest import Start
from tests.kernels.node import Node

from proxyconfig_agent.dataplane.combined import ipvs_rules
from proxyconfig_agent.dataplane.port import Change

pytestmark = pytest.mark.kernel


@pytest.fixture
def dataplane(node: Node, start: Start) -> Entered:
    node.space.ip(["link set lo up", "addr add 192.168.50.1/32 dev lo", "addr add fd00:50::1/128 dev lo"])
    return start(ipvs_rules.made)


def test_a_second_resync_has_nothing_to_do(dataplane: Entered) -> None:
    ports = every_kind()
    assert dataplane.resync(SETTINGS, ports).operations > 0
    again = dataplane.resync(SETTINGS, ports)
    assert (again.operations, again.repaired, again.refused) == (0, "", ())


def test_a_restart_adopts_everything(dataplane: Entered, start: Start) -> None:
    ports = every_kind()
    dataplane.resync(SETTINGS, ports)
    found = dataplane.scan()
    assert start(ipvs_rules.made).resync(SETTINGS, ports).operations == 0
    assert dataplane.scan() == found


def test_changes_one_by_one_are_the_same_as_all_at_once(dataplane: Entered, start: Start) -> None:
    ports = each_kind_once()
    dataplane.resync(SETTINGS, [])
    for port in ports:
        assert dataplane.apply([Change(None, port)]).refused == ()
    again = start(ipvs_rules.made).resync(SETTINGS, ports)
    assert (again.operations, again.repaired) == (0, "")
