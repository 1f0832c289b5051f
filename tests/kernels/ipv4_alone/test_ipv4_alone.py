"""Kernels without CONFIG_IPV6, or booted with ipv6.disable=1: IPv4 is served, in both modes and through both back ends of iptables."""

from __future__ import annotations

import pytest
from tests.kernel.nftables.examples import SETTINGS, every_kind
from tests.kernels.conftest import Start
from tests.kernels.node import Node

from proxyconfig_agent.dataplane.iptables.iptables import Iptables
from proxyconfig_agent.dataplane.nftables.nftables import Nftables

pytestmark = pytest.mark.kernel


def test_nftables_mode_serves_ipv4(node: Node, start: Start) -> None:
    dataplane = start(Nftables)
    dataplane.probe()
    dataplane.resync(SETTINGS, every_kind())
    assert "table ip proxyconfig" in node.space.run("nft", "list", "tables")


@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_iptables_mode_serves_ipv4(node: Node, start: Start, backend: str) -> None:
    node.space.run(f"iptables-{backend}", "-t", "mangle", "-N", "KUBE-IPTABLES-HINT")
    dataplane = start(Iptables)
    dataplane.probe()
    dataplane.resync(SETTINGS, every_kind())
    assert not dataplane.disturbed()
    assert "KUBE-SERVICES" in node.space.run(f"iptables-{backend}-save", "-t", "nat")

    result = node.clean_up()
    assert (result.status, result.printed[-1]) == (0, "0 kernel objects of proxyconfig are left")
