"""The query and its answers, octet by octet."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxyconfig_agent.checks.probes.dns import query, trouble
from proxyconfig_agent.ingest.addresses import parse_address

QUESTION = b"\x0210\x010\x0296\x0210\x07in-addr\x04arpa\x00\x00\x0c\x00\x01"


def test_the_query_asks_for_the_name_of_an_address() -> None:
    assert query(0x1234, parse_address("10.96.0.10")) == b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + QUESTION
    assert query(1, parse_address("fd00::a"))[12:].startswith(b"\x01a" + b"\x010" * 27)


def test_an_answer_counts_if_the_server_has_looked() -> None:
    def answer(flags: int, number: int = 7) -> bytes:
        return number.to_bytes(2) + flags.to_bytes(2) + bytes(8) + QUESTION

    assert trouble(7, answer(0x8180)) == trouble(7, answer(0x8183)) == ""
    assert trouble(7, answer(0x8182)) == "the DNS server answers with error 2"
    assert trouble(7, answer(0x8180, number=8)) is None
    assert trouble(7, answer(0x0100)) is None


@given(st.integers(0, 0xFFFF), st.binary(max_size=40))
def test_no_answer_breaks_the_reader(number: int, octets: bytes) -> None:
    assert trouble(number, octets) in (None, "") or trouble(number, octets)
