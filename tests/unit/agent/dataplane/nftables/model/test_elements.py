"""Elements to octets and back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxyconfig_agent.dataplane.tables.model.elements import (
    chain_of,
    comment_of,
    comment_tail,
    decoded,
    encoded,
    encoded_key,
    end_tail,
    value_of,
    value_tail,
    verdict_tail,
)
from proxyconfig_agent.netlink.frames import attribute, attributes, be32, nested
from proxyconfig_agent.netlink.nftables.expressions import covers

words = st.binary(min_size=4, max_size=40).map(lambda octets: octets[: len(octets) & ~3])


@given(st.dictionaries(st.binary(min_size=8, max_size=8), st.tuples(words, st.text(max_size=143, alphabet="abz/-:.09"))))
def test_what_is_encoded_is_decoded(elements: dict[bytes, tuple[bytes, str]]) -> None:
    tails = {key: value_tail(value) + comment_tail(comment) for key, (value, comment) in elements.items()}
    octets = b"".join(encoded(tails.items()))
    assert dict(decoded(octets, 8)) == tails
    assert {key: (value_of(tail), comment_of(tail)) for key, tail in tails.items()} == elements


def test_a_deletion_names_the_key_alone() -> None:
    assert dict(decoded(encoded_key(b"12345678", value_tail(b"abcd") + comment_tail("x")), 8)) == {b"12345678": b""}


def test_a_deletion_of_an_interval_names_its_end_too() -> None:
    assert dict(decoded(encoded_key(b"12345678", end_tail(b"12349999") + comment_tail("x")), 8)) == {b"12345678": end_tail(b"12349999")}


def test_a_verdict_tells_its_chain() -> None:
    assert chain_of(verdict_tail("sticky-pick-3-10800")) == "sticky-pick-3-10800"


def test_the_kernel_may_add_attributes_at_every_depth() -> None:
    sent = nested(1, attribute(1, b"meta\0"), nested(2, be32(1, 5), be32(2, 7)))
    dumped = attribute(1, attribute(1, b"meta\0") + attribute(2, be32(1, 5) + be32(2, 7) + be32(9, 1)))
    assert covers(dumped, sent)


def test_another_value_or_another_number_of_expressions_is_a_difference() -> None:
    one, other = nested(1, nested(2, be32(1, 5))), nested(1, nested(2, be32(1, 6)))
    assert not covers(other, one)
    assert not covers(one + one, one)
    assert covers(one + other, one + other)


def test_attributes_are_padded_to_four_bytes() -> None:
    assert list(attributes(attribute(3, b"abcde") + attribute(4, b""))) == [(3, b"abcde"), (4, b"")]
