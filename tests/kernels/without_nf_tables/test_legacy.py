"""A kernel without CONFIG_NF_TABLES: nftables mode names it, iptables mode works through the legacy tables, and all can be removed."""

from __future__ import annotations

import pytest
from tests.kernel.nftables.examples import SETTINGS, every_kind
from tests.kernels.conftest import Start
from tests.kernels.node import Node

from proxyconfig_agent.dataplane.iptables.iptables import Iptables
from proxyconfig_agent.dataplane.nftables.nftables import Nftables
from proxyconfig_agent.dataplane.port import DataplaneError

pytestmark = pytest.mark.kernel


def test_nftables_mode_names_the_option_that_is_missing(start: Start) -> None:
    with pytest.raises(DataplaneError, match="CONFIG_NF_TABLES"):
        start(Nftables).probe()


def test_iptables_mode_serves_both_families_through_the_legacy_tables(node: Node, start: Start) -> None:
    dataplane = start(Iptables)
    assert not dataplane.probe().unserved
    dataplane.resync(SETTINGS, every_kind())
    for save in ("iptables-legacy-save", "ip6tables-legacy-save"):
        assert "KUBE-SERVICES" in node.space.run(save, "-t", "nat")

    dataplane.remove()
    assert dataplane.scan() == []


def test_a_clean_up_proves_that_nothing_is_left(node: Node, start: Start) -> None:
    start(Iptables).resync(SETTINGS, every_kind())

    result = node.clean_up()
    assert (result.status, result.printed[-1]) == (0, "0 kernel objects of proxyconfig are left")
    assert "nothing of nftables mode can be in this kernel" in result.errors
    assert "KUBE-" not in node.space.run("iptables-legacy-save")
