"""A kernel without CONFIG_NFT_FIB_IPV6: nftables mode serves IPv4 and names what IPv6 lacks; iptables mode does both."""

from __future__ import annotations

import pytest
from tests.kernel.nftables.examples import SETTINGS, every_kind
from tests.kernels.conftest import Start
from tests.kernels.node import Node

from proxyconfig_agent.dataplane.iptables.iptables import Iptables
from proxyconfig_agent.dataplane.nftables.nftables import Nftables
from proxyconfig_agent.ingest.model import Family

pytestmark = pytest.mark.kernel


def test_nftables_mode_names_the_option_that_ipv6_lacks(start: Start) -> None:
    found = start(Nftables).probe()
    assert found.features["IPv4"] == "available"
    assert list(found.unserved) == [Family.IPV6]
    assert "CONFIG_NFT_FIB_IPV6" in found.unserved[Family.IPV6]


def test_nftables_mode_serves_ipv4_and_can_be_removed(node: Node, start: Start) -> None:
    dataplane = start(Nftables)
    dataplane.probe()
    dataplane.resync(SETTINGS, every_kind())
    tables = node.space.run("nft", "list", "tables")
    assert "table ip proxyconfig" in tables
    assert "table ip6 proxyconfig" not in tables
    assert dataplane.resync(SETTINGS, every_kind()).operations == 0

    result = node.clean_up()
    assert (result.status, result.printed[-1]) == (0, "0 kernel objects of proxyconfig are left")
    assert "proxyconfig" not in node.space.run("nft", "list", "tables")


def test_iptables_mode_serves_both(start: Start) -> None:
    assert not start(Iptables).probe().unserved
