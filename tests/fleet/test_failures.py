"""A change fails on its first node: that node is back by itself, and no other one has ever changed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping

import pytest
from tests.cluster.controlplane import DNS_ADDRESS
from tests.fleet.fleet import Fleet
from tests.fleet.waves import CAREFUL, Record, nothing_lost
from tests.support.netns.flows import Told
from tests.support.polling import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

CANARY = "node-1"
_BREAKER = f"""
table inet breaker {{
    chain output {{
        type filter hook output priority 10
        meta l4proto udp ct original ip daddr {DNS_ADDRESS} ct original proto-dst 53 drop
        meta l4proto tcp ct original ip daddr {DNS_ADDRESS} ct original proto-dst 53 drop
    }}
}}
"""
"""What the node's own processes ask the cluster's DNS is lost: the probe is, no client is."""


@contextlib.contextmanager
def without_dns(fleet: Fleet, node: str) -> Iterator[None]:
    """The node's own questions to the cluster's DNS have no answer meanwhile."""
    fleet.on(node, "nft", _BREAKER)
    try:
        yield
    finally:
        fleet.on(node, "nft", "delete", "table", "inet", "breaker")


def versions(fleet: Fleet) -> Mapping[str, object]:
    """What was ordered of every node but the canary."""
    return {name: (each["metadata"]["generation"], each["spec"]) for name, each in fleet.proxies().items() if name != CANARY}


def test_a_node_whose_dns_fails_in_the_new_mode_is_back_by_itself_and_no_other_changes(fleet: Fleet, record_property: Record) -> None:
    before, told = versions(fleet), list[Told]()
    with fleet.traffic(told):
        generation = fleet.order("iptables", {**CAREFUL, "holdPeriod": "5m"})
        fleet.await_held(CANARY)
        assert fleet.mode_of(CANARY) == "iptables"
        with without_dns(fleet, CANARY):
            cut = time.monotonic()
            eventually(lambda: fleet.mode_of(CANARY), until="nftables".__eq__, within_s=120, every_s=0.05)
            after_s = time.monotonic() - cut
            failed = fleet.await_phase("RolledBack", generation)
    nothing_lost(told, record_property)
    record_property("back after, seconds", round(after_s, 1))
    print(f"back {after_s:.1f} s after its DNS was cut: {failed['status']['rollout']['message']}")
    assert "dns" in failed["status"]["rollout"]["message"]
    assert versions(fleet) == before


def test_a_mode_that_the_kernel_lacks_fails_on_the_first_node_and_no_other_changes(fleet: Fleet, record_property: Record) -> None:
    before, told = versions(fleet), list[Told]()
    with fleet.traffic(told):
        generation = fleet.order("ipvs", CAREFUL)
        failed = fleet.await_phase("RolledBack", generation)
    nothing_lost(told, record_property)
    print(failed["status"]["rollout"]["message"])
    assert CANARY in failed["status"]["rollout"]["message"]
    assert {name: spec for name, spec in versions(fleet).items() if spec != before[name]} == {}
    assert fleet.mode_of(CANARY) == "nftables"
