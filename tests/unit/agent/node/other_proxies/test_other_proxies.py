"""What is said of another proxy on the node."""

from __future__ import annotations

import pytest

from proxyconfig_agent.node.other_proxies.other_proxies import Seen, finding_of


def test_a_node_without_another_proxy_says_nothing() -> None:
    assert finding_of(Seen()) is None


@pytest.mark.parametrize(
    ("seen", "reason", "words"),
    [
        (Seen(mode="iptables"), "KubeProxyRunning", "a kube-proxy in iptables mode answers on 127.0.0.1:10249:"),
        (Seen(mode="nftables", tables=("ip kube-proxy",)), "KubeProxyRunning", "(table ip kube-proxy):"),
        (Seen(tables=("ip kube-proxy", "ip6 kube-proxy")), "KubeProxyRulesLeft", "table ip kube-proxy, table ip6 kube-proxy;"),
        (Seen(canaries=("ip mangle",)), "KubeProxyRulesLeft", "chain KUBE-PROXY-CANARY in ip mangle;"),
        (Seen(link=True, virtual_servers=7), "KubeProxyRulesLeft", "link kube-ipvs0 with 7 virtual servers of ipvs;"),
    ],
)
def test_one_that_runs_goes_before_what_one_has_left_and_both_are_named(seen: Seen, reason: str, words: str) -> None:
    finding = finding_of(seen)
    assert finding is not None
    assert (finding.reason, finding.harmless) == (reason, True)
    assert words in finding.message
