"""Rules that mean the same have one form, however they were written: by us, or by iptables-save of either back end (1.8.9)."""

from __future__ import annotations

import pytest

from proxyconfig_agent.dataplane.iptables.model.canonical import digest, normal

WRITTEN_AND_PRINTED = [
    pytest.param(
        '-m comment --comment "ns/a:p cluster IP" -m tcp -p tcp -d 10.96.0.1 --dport 80 ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ',
        '! -s 10.244.0.0/16 -d 10.96.0.1/32 -p tcp -m comment --comment "ns/a:p cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ',
        id="order-and-size",
    ),
    pytest.param(
        "-m comment --comment ns/a:p -s fd00::1 -j KUBE-MARK-MASQ",
        '-s fd00::1/128 -m comment --comment "ns/a:p" -j KUBE-MARK-MASQ',
        id="quotes-and-size-of-ipv6",
    ),
    pytest.param("-j MARK --or-mark 0x00004000", "-j MARK --set-xmark 0x4000/0x4000", id="or-mark"),
    pytest.param("-j MARK --xor-mark 0x00004000", "-j MARK --set-xmark 0x4000/0x0", id="xor-mark"),
    pytest.param("-m mark ! --mark 0x00004000/0x00004000 -j RETURN", "-m mark ! --mark 0x4000/0x4000 -j RETURN", id="mark"),
    pytest.param(
        "-m statistic --mode random --probability 0.3333333333 -j KUBE-SEP-B",
        "-m statistic --mode random --probability 0.33333333349 -j KUBE-SEP-B",
        id="probability",
    ),
    pytest.param(
        "-m recent --name KUBE-SEP-B --rcheck --seconds 10800 --reap -j KUBE-SEP-B",
        "-m recent --rcheck --seconds 10800 --reap --name KUBE-SEP-B --mask 255.255.255.255 --rsource -j KUBE-SEP-B",
        id="recent",
    ),
    pytest.param(
        "-m udp -p udp -d 10.96.0.2 --dport 53 -j REJECT",
        "-d 10.96.0.2/32 -p udp -m udp --dport 53 -j REJECT --reject-with icmp-port-unreachable",
        id="reject",
    ),
    pytest.param(
        "-d 127.0.0.0/8 ! -s 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP",
        "! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate ESTABLISHED,RELATED,DNAT -j DROP",
        id="states",
    ),
]


@pytest.mark.parametrize(("written", "printed"), WRITTEN_AND_PRINTED)
def test_a_rule_is_known_again_when_it_is_printed(written: str, printed: str) -> None:
    assert normal(written) == normal(printed)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("-d 10.0.0.1 -j A", "-s 10.0.0.1 -j A", id="direction"),
        pytest.param("-d 10.0.0.1 -j A", "! -d 10.0.0.1 -j A", id="negation"),
        pytest.param("-d 10.0.0.0/24 -j A", "-d 10.0.0.0 -j A", id="size"),
        pytest.param("-j MARK --or-mark 0x4000", "-j MARK --or-mark 0x8000", id="mark"),
        pytest.param("--probability 0.5 -j A", "--probability 0.50001 -j A", id="probability"),
        pytest.param('-m comment --comment "-j A" -j B', '-m comment --comment "-j B" -j A', id="options-in-comments"),
        pytest.param("-m recent --name A --set", "-m recent --name A --rcheck", id="flag"),
    ],
)
def test_rules_that_differ_have_forms_that_differ(one: str, other: str) -> None:
    assert normal(one) != normal(other)


def test_chains_differ_in_their_rules_and_their_order_but_not_in_comments() -> None:
    a, b = "-s 10.0.0.1 -j KUBE-MARK-MASQ", "-j DNAT --to-destination 10.0.0.1:80"
    assert digest([a, b]) == digest([f"-m comment --comment ns/a {a}", b])
    assert len({digest([a, b]), digest([b, a]), digest([a]), digest([])}) == 4
