"""A fleet changes its mode in waves, under traffic."""

from __future__ import annotations

import pytest
from tests.fleet.fleet import NODES, Fleet
from tests.fleet.waves import CAREFUL, Record, nothing_lost, seen
from tests.support.netns.flows import Told

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]


@pytest.mark.parametrize(("old", "new"), [("nftables", "iptables"), ("iptables", "nftables")])
def test_a_mode_goes_zone_by_zone_after_a_canary_and_nothing_is_lost(fleet: Fleet, old: str, new: str, record_property: Record) -> None:
    fleet.at_rest(old)
    told, during = list[Told](), seen(fleet)
    with fleet.traffic(told):
        generation = fleet.order(new, CAREFUL)
        fleet.await_phase("Complete", generation, during.look)
    nothing_lost(told, record_property)
    record_property("waves", during.waves)
    print(f"waves: {during.waves}, at most {during.nodes_at_once} nodes and {during.zones_at_once} zones at once")
    assert (during.zones_at_once, during.nodes_at_once) == (1, 2)
    assert {fleet.mode_of(node.name) for node in fleet.local.nodes} == {new}
    assert len(fleet.proxies()) == NODES
    left = [fleet.on(node.name, *_LISTING[old]) for node in fleet.local.nodes]
    assert not [text for text in left if _MARK[old] in text]


_LISTING = {"nftables": ("nft", "list", "tables"), "iptables": ("iptables-save", "-t", "nat")}
_MARK = {"nftables": "proxyconfig", "iptables": "KUBE-SVC-"}
