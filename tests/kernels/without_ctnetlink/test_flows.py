"""A kernel without CONFIG_NF_CT_NETLINK: Services are served; that flows cannot be read is an error with the kernel's words."""

from __future__ import annotations

import pytest
from tests.kernel.nftables.examples import SETTINGS, every_kind
from tests.kernels.conftest import Start
from tests.kernels.node import Node

from proxyconfig_agent.dataplane.nftables.nftables import Nftables

pytestmark = pytest.mark.kernel


def test_nftables_mode_serves_both_families(start: Start) -> None:
    dataplane = start(Nftables)
    assert not dataplane.probe().unserved
    dataplane.resync(SETTINGS, every_kind())
    assert dataplane.resync(SETTINGS, every_kind()).operations == 0


def test_a_clean_up_proves_that_nothing_is_left(node: Node, start: Start) -> None:
    start(Nftables).resync(SETTINGS, every_kind())

    result = node.clean_up()
    assert (result.status, result.printed[-1]) == (0, "0 kernel objects of proxyconfig are left")
