"""When the kube-proxy that a node is given back to serves it, by its own words and by what the kernel has."""

from __future__ import annotations

import pytest

from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.node.other_proxies.arrival import Arrival, Running, Stage, arrival_of, awaited_finding, synced_of

V4, V6 = Family.IPV4, Family.IPV6
BOTH = (V4, V6)
NAME = "kubeproxy_sync_proxy_rules_last_timestamp_seconds"


@pytest.mark.parametrize(
    ("running", "families", "stage", "missing"),
    [
        pytest.param(Running(), BOTH, Stage.AWAY, (), id="none answers"),
        pytest.param(Running("nftables"), BOTH, Stage.STARTING, BOTH, id="it has just begun"),
        pytest.param(Running("nftables", frozenset({V4})), BOTH, Stage.STARTING, (V6,), id="one family is not there"),
        pytest.param(Running("nftables", frozenset({V4})), (V4,), Stage.SERVING, (), id="the cluster has no other"),
        pytest.param(Running("nftables", frozenset(BOTH)), BOTH, Stage.SERVING, (), id="all is there"),
        pytest.param(Running("nftables", frozenset(BOTH)), (), Stage.STARTING, (), id="nothing is known of the cluster"),
    ],
)
def test_it_serves_when_it_has_rules_of_each_family_of_the_cluster(
    running: Running, families: tuple[Family, ...], stage: Stage, missing: tuple[Family, ...]
) -> None:
    arrival = arrival_of(running, families, chains=False)
    assert (arrival.stage, arrival.missing) == (stage, missing)


@pytest.mark.parametrize(
    ("lines", "synced"),
    [
        pytest.param([], set(), id="without the metric"),
        pytest.param([f"{NAME} 0"], set(), id="an old one that has not synced"),
        pytest.param([f"{NAME} 1.7e+09"], {V4, V6}, id="an old one"),
        pytest.param([f'{NAME}{{ip_family="IPv6"}} 1.7e+09'], {V6}, id="one family"),
        pytest.param([f'{NAME}{{ip_family="IPv4"}} 0', f'{NAME}{{ip_family="IPv6"}} 1.7e+09'], {V6}, id="the other one has not"),
        pytest.param([f"# TYPE {NAME} gauge", 'kubeproxy_other{ip_family="IPv4"} 3', f"{NAME}_more 4"], set(), id="others"),
    ],
)
def test_what_it_has_programmed_is_what_its_metrics_say(lines: list[str], synced: set[Family]) -> None:
    assert synced_of("\n".join((*lines, ""))) == synced


@pytest.mark.parametrize(
    ("arrival", "words"),
    [
        (None, "until a kube-proxy answers on 127.0.0.1:10249 and has programmed its own;"),
        (Arrival(), "until a kube-proxy answers on 127.0.0.1:10249 and has programmed its own;"),
        (Arrival(Stage.STARTING, "iptables", (V6,)), "until the kube-proxy in iptables mode that answers has programmed its own of IPv6;"),
        (Arrival(Stage.SERVING, "nftables"), "until their connections have ended or spec.drainPeriod is over;"),
    ],
)
def test_the_node_says_what_it_waits_for_and_how_to_go_without_it(arrival: Arrival | None, words: str) -> None:
    finding = awaited_finding(arrival)
    assert (finding.reason, finding.harmless) == ("GivingBack", True)
    assert words in finding.message
    assert finding.message.endswith("set spec.removalPolicy of the ProxyConfig to Remove to have them removed without it")
