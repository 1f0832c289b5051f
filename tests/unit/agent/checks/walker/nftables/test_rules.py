"""Tables do with a packet what nf_tables does, and what is not known of them is an error and no guess."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from proxyconfig_agent.checks.shadow.flows import NodeAddresses
from proxyconfig_agent.checks.walker.choices import Choices
from proxyconfig_agent.checks.walker.nftables.rules import NftablesRules
from proxyconfig_agent.checks.walker.nftables.tables import Chain, Rule, Set, Table
from proxyconfig_agent.checks.walker.packet import Packet
from proxyconfig_agent.checks.walker.path import Hook, Memory, Passage, Verdict
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.frames import attribute, be32, nested, text
from proxyconfig_agent.netlink.nftables import expressions as x

PACKET = Packet(4, 6, bytes((10, 1, 0, 1)), bytes((10, 96, 0, 1)), 40_000, 80, came_in="eth0")
DROP = x.verdict(x.Verdict.DROP)


def met(
    chains: Mapping[str, tuple[bytes, ...]], *, policy: int = uapi.NF_ACCEPT, sets: Mapping[str, Set] = {}, payload: bytes = b""
) -> Verdict:
    """By a packet that begins in the chain `base`."""
    made = {name: Chain(b"", rules=tuple(Rule(each, b"") for each in rules)) for name, rules in chains.items()}
    made["base"] = replace(made["base"], kind="filter", hook=Hook.PREROUTING, policy=policy)
    table = Table(payload, made, dict(sets))
    passage = Passage(replace(PACKET), NodeAddresses(()), Choices(), Memory())
    return NftablesRules({(uapi.NFPROTO_IPV4, "t"): table}).meet(Hook.PREROUTING, passage)


def unlike(name: str, *parts: bytes) -> bytes:
    return nested(uapi.NFTA_LIST_ELEM, text(uapi.NFTA_EXPR_NAME, name), nested(uapi.NFTA_EXPR_DATA, *parts))


def test_the_policy_decides_where_no_rule_does() -> None:
    assert met({"base": ()}) is Verdict.ACCEPT
    assert met({"base": ()}, policy=uapi.NF_DROP) is Verdict.DROP


def test_a_dormant_table_meets_no_packet() -> None:
    dormant = be32(uapi.NFTA_TABLE_FLAGS, uapi.NFT_TABLE_F_DORMANT)
    assert met({"base": (DROP,)}) is Verdict.DROP
    assert met({"base": (DROP,)}, payload=dormant) is Verdict.ACCEPT


def test_a_jump_comes_back_and_a_goto_does_not() -> None:
    jump, goto = (x.verdict(kind, "other") for kind in (x.Verdict.JUMP, x.Verdict.GOTO))
    assert met({"base": (jump, DROP), "other": ()}) is Verdict.DROP
    assert met({"base": (goto, DROP), "other": ()}) is Verdict.ACCEPT


@pytest.mark.parametrize(
    ("first", "last", "found"),
    [((10, 0, 0, 0), (10, 1, 0, 1), False), ((10, 0, 0, 0), (10, 1, 0, 2), True), ((10, 1, 0, 2), (11, 0, 0, 0), False)],
)
def test_an_interval_has_its_first_key_and_not_its_end(first: tuple[int, ...], last: tuple[int, ...], found: bool) -> None:
    """As `{ 10.0.0.0-10.1.0.0 }`, which the kernel holds as a begin and an end."""
    held = Set(b"", uapi.NFT_SET_INTERVAL, 4, 0, 0, ())
    ends = be32(uapi.NFTA_SET_ELEM_FLAGS, uapi.NFT_SET_ELEM_INTERVAL_END)
    for octets, flags in ((bytes(4), ends), (bytes(first), b""), (bytes(last), ends)):
        held.add(nested(uapi.NFTA_SET_ELEM_KEY, attribute(uapi.NFTA_DATA_VALUE, octets)) + flags)
    rule = x.payload(x.Base.NETWORK, 12, 4, 0) + x.lookup("ranges", 0) + DROP
    assert met({"base": (rule,)}, sets={"ranges": held}) is (Verdict.DROP if found else Verdict.ACCEPT)


def test_an_interval_may_begin_where_another_ends() -> None:
    held = Set(b"", uapi.NFT_SET_INTERVAL, 1, 0, 0, ())
    ends = be32(uapi.NFTA_SET_ELEM_FLAGS, uapi.NFT_SET_ELEM_INTERVAL_END)
    for key, flags in ((1, b""), (3, ends), (3, b""), (5, ends)):
        held.add(nested(uapi.NFTA_SET_ELEM_KEY, attribute(uapi.NFTA_DATA_VALUE, bytes((key,)))) + flags)
    assert [key for key in range(7) if held.find(bytes((key,)))] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("expressions", "words"),
    [
        (unlike("limit") + DROP, "limit is not known here, in the rule `limit immediate`"),
        (x.payload(x.Base.NETWORK, 8, 1, 0) + DROP, "only an address or the protocol of the network header"),
        (x.payload(x.Base.TRANSPORT, 13, 1, 0) + DROP, "only a port of the transport header"),
        (unlike("meta", be32(uapi.NFTA_META_DREG, 8), be32(uapi.NFTA_META_KEY, 10)), "only meta priority, mark, iifname"),
        (x.meta(x.Meta.MARK, 0) + x.equal(1, x.host(0)), "is read before anything is in it, in the rule `meta cmp`"),
        (x.payload(x.Base.NETWORK, 9, 1, 0) + x.equal(0, b"\6") + unlike("limit"), "in the rule `payload cmp limit`"),
        (unlike("masq", be32(2, 8)), "attribute 2 of masq is not known here"),
    ],
    ids=["expression", "ttl", "tcp-flags", "meta-key", "empty-register", "protocol", "attribute"],
)
def test_what_is_not_known_is_an_error_with_the_words_of_the_rule(expressions: bytes, words: str) -> None:
    with pytest.raises(ValueError, match="in the rule") as raised:
        met({"base": (expressions,)})
    assert words in str(raised.value)


KEY = nested(uapi.NFTA_SET_ELEM_KEY, attribute(uapi.NFTA_DATA_VALUE, bytes(4)))


@pytest.mark.parametrize("element", [KEY + text(9, "quota"), be32(uapi.NFTA_SET_ELEM_FLAGS, 2)], ids=["object", "all-other-keys"])
def test_a_set_with_more_than_keys_and_values_is_not_looked_up(element: bytes) -> None:
    held = Set(b"", 0, 4, 0, 0, ())
    held.add(element)
    with pytest.raises(ValueError, match="a set with more than keys and values"):
        met({"base": (x.meta(x.Meta.MARK, 0) + x.lookup("quotas", 0) + DROP,)}, sets={"quotas": held})
