"""What of kube-proxy's rules goes, and when: looks, removals and failures one after the other."""

from __future__ import annotations

from functools import reduce

import pytest

from proxyconfig_agent.node.other_proxies.other_proxies import NOTHING, Seen
from proxyconfig_agent.node.other_proxies.proxy_remains import Remains, discarded, failed, looked, removable
from proxyconfig_api.spec.sections import Mode, Takeover

TABLES = Seen(tables=("ip kube-proxy", "ip6 kube-proxy"))
CHAINS = Seen(canaries=("ip mangle", "legacy ip6 mangle"))
BOTH = Seen(tables=TABLES.tables, canaries=CHAINS.canaries)
OF_IPVS = Seen(tables=TABLES.tables, canaries=CHAINS.canaries, link=True, virtual_servers=7)
RUNS = Seen(mode="nftables", tables=TABLES.tables)
GONE = reduce(looked, (TABLES, TABLES), Remains())


@pytest.mark.parametrize(
    ("looks", "orphaned"),
    [
        ([], NOTHING),
        ([TABLES], NOTHING),
        ([TABLES, TABLES], TABLES),
        ([TABLES, TABLES, CHAINS], CHAINS),
        ([RUNS, TABLES], NOTHING),
        ([TABLES, RUNS], NOTHING),
        ([TABLES, RUNS, TABLES], NOTHING),
        ([RUNS, TABLES, TABLES], TABLES),
        ([NOTHING, NOTHING], NOTHING),
    ],
)
def test_two_looks_in_a_row_that_find_no_kube_proxy_make_an_end(looks: list[Seen], orphaned: Seen) -> None:
    assert reduce(looked, looks, Remains()).orphaned == orphaned


def test_what_failed_is_tried_again_after_the_next_look_even_if_it_does_not_look_like_kube_proxys_any_more() -> None:
    half = failed(GONE, TABLES, "no memory")
    assert half.orphaned == NOTHING
    assert looked(half, NOTHING).orphaned == TABLES
    assert half.finding is not None
    assert "no memory" in half.finding.message


def test_what_comes_back_is_no_orphan_before_a_kube_proxy_has_been_seen_again() -> None:
    after = reduce(looked, (NOTHING, TABLES, TABLES), discarded(GONE, ()))
    assert after.orphaned == NOTHING
    assert after.finding is not None
    assert "another metricsBindAddress" in after.finding.message
    assert reduce(looked, (RUNS, TABLES, TABLES), after).orphaned == TABLES


def test_a_removal_is_proven_by_a_scan_and_what_that_finds_is_named() -> None:
    assert looked(discarded(GONE, ()), NOTHING).finding is None
    kept = looked(discarded(GONE, ["chain ip nat KUBE-SERVICES"]), NOTHING).finding
    assert kept is not None
    assert "chain ip nat KUBE-SERVICES; rules of other programs lead to them" in kept.message


@pytest.mark.parametrize(
    ("left", "takeover", "mode", "goes"),
    [
        (BOTH, Takeover.WAIT, Mode.NFTABLES, BOTH),
        (BOTH, Takeover.ADOPT, Mode.NFTABLES, BOTH),
        (BOTH, Takeover.OBSERVE, Mode.NFTABLES, NOTHING),
        (BOTH, Takeover.WAIT, Mode.IPTABLES, TABLES),
        (BOTH, Takeover.WAIT, Mode.USERSPACE, BOTH),
        (BOTH, Takeover.WAIT, Mode.IPVS, BOTH),
        (OF_IPVS, Takeover.WAIT, Mode.NFTABLES, TABLES),
        (OF_IPVS, Takeover.WAIT, Mode.IPVS, TABLES),
        (Seen(link=True, virtual_servers=7), Takeover.WAIT, Mode.NFTABLES, NOTHING),
        (NOTHING, Takeover.WAIT, Mode.NFTABLES, NOTHING),
    ],
)
def test_what_goes_is_what_the_mode_does_not_adopt_and_no_connection_needs(left: Seen, takeover: Takeover, mode: Mode, goes: Seen) -> None:
    assert removable(left, takeover, mode) == goes
