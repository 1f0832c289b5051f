"""A kernel without CONFIG_NF_TABLES: `auto` ends in iptables, through the legacy tables, and says what nftables lacks."""

from __future__ import annotations

import pytest
from tests.kernel.nftables.examples import every_kind
from tests.kernels.automatic import chosen
from tests.kernels.node import Node

pytestmark = pytest.mark.kernel


def test_auto_ends_in_iptables_through_the_legacy_tables(node: Node) -> None:
    mode, found = node.space.call(chosen, every_kind())
    assert (mode.desired, mode.effective, mode.reason) == ("auto", "iptables", "NextBest")
    assert "CONFIG_NF_TABLES" in mode.message
    assert found["iptables"].endswith("(legacy)")
    for save in ("iptables-legacy-save", "ip6tables-legacy-save"):
        assert "KUBE-SERVICES" in node.space.run(save, "-t", "nat")
