"""Which changes of nf_tables by others are a reason to read all rules."""

from __future__ import annotations

import pytest

from proxyconfig_agent.dataplane.iptables.kernel.nft_monitor import affects_us
from proxyconfig_agent.netlink import frames
from proxyconfig_agent.netlink.frames import attribute

NEW_TABLE, DELETE_TABLE, NEW_CHAIN, DELETE_CHAIN, NEW_RULE, DELETE_RULE, NEW_SET, NEW_GENERATION = 0, 2, 3, 5, 6, 8, 9, 15
IPV4, BRIDGE = 2, 7


def news(kind: int, table: str = "nat", chain: str = "", family: int = IPV4) -> frames.Message:
    """A message as the kernel sends it."""
    number = 3 if kind in (NEW_CHAIN, DELETE_CHAIN) else 2
    payload = bytes((family, 0, 0, 1)) + attribute(1, table.encode() + b"\0") + attribute(number, chain.encode() + b"\0")
    return frames.Message(10 << 8 | kind, 0, payload, 0)


@pytest.mark.parametrize(
    ("message", "concerns"),
    [
        pytest.param(news(NEW_RULE, chain="KUBE-SERVICES"), True, id="rule-in-a-shared-chain"),
        pytest.param(news(DELETE_RULE, chain="KUBE-SVC-AAAA"), True, id="rule-of-a-service-deleted"),
        pytest.param(news(DELETE_CHAIN, "mangle", "KUBE-PROXY-CANARY"), True, id="canary-deleted"),
        pytest.param(news(DELETE_RULE, chain="PREROUTING"), True, id="maybe-a-jump-deleted"),
        pytest.param(news(DELETE_TABLE), True, id="table-deleted"),
        pytest.param(news(NEW_TABLE), True, id="table-put-to-sleep"),
        pytest.param(news(NEW_RULE, "filter", "FORWARD"), False, id="rule-of-others-in-a-built-in-chain"),
        pytest.param(news(NEW_CHAIN, chain="CNI-HOSTPORT"), False, id="chain-of-others"),
        pytest.param(news(DELETE_RULE, chain="CNI-HOSTPORT"), False, id="rule-of-others-deleted"),
        pytest.param(news(NEW_CHAIN, "filter", "FORWARD"), False, id="policy-of-a-built-in-chain"),
        pytest.param(news(DELETE_TABLE, "guard"), False, id="table-of-others"),
        pytest.param(news(DELETE_TABLE, family=BRIDGE), False, id="another-family"),
        pytest.param(news(NEW_SET), False, id="set"),
        pytest.param(news(NEW_GENERATION), False, id="generation"),
        pytest.param(news(DELETE_TABLE)._replace(kind=7 << 8 | DELETE_TABLE), False, id="another-subsystem"),
    ],
)
def test_what_concerns_our_rules(message: frames.Message, concerns: bool) -> None:
    assert affects_us(message) == concerns
