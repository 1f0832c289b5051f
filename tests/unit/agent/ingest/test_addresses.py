from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyconfig_agent.ingest.addresses import parse_address, parse_network
from proxyconfig_agent.ingest.model import text_of


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        pytest.param("10.0.0.1", "10.0.0.1", id="plain"),
        pytest.param("172.30.0.041", "172.30.0.41", id="row-18-leading-zeros-are-decimal"),
        pytest.param("000.000.000.000", "0.0.0.0", id="zeros"),
        pytest.param("fd00:0:0::0001", "fd00::1", id="ipv6"),
        pytest.param("::ffff:10.1.2.3", "10.1.2.3", id="mapped-is-ipv4"),
        pytest.param("::ffff:010.001.2.3", "10.1.2.3", id="mapped-with-leading-zeros"),
        pytest.param("64:ff9b::010.1.2.3", "64:ff9b::a01:203", id="ipv4-tail"),
    ],
)
def test_addresses_are_read_as_kubernetes_reads_them(text: str, canonical: str) -> None:
    assert text_of(parse_address(text)) == canonical


@pytest.mark.parametrize(
    "text", ["", "10.0.0", "10.0.0.256", "10.0.0.1.2", "1.2.3.x", "fe80::1%eth0", ":::", "10.0.0.1/24", "１.2.3.4", "a\0b", "-1.2.3.4"]
)
def test_what_is_no_address_is_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="is not an IP address"):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        pytest.param(" 203.0.113.0/24 ", "203.0.113.0/24", id="row-18-blanks"),
        pytest.param("203.0.113.000/025", "203.0.113.0/25", id="row-18-leading-zeros"),
        pytest.param("203.0.113.77/24", "203.0.113.0/24", id="host-bits"),
        pytest.param("::/0", "::/0", id="everything"),
        pytest.param("2001:db8::1/32", "2001:db8::/32", id="ipv6"),
    ],
)
def test_networks_are_read_as_kubernetes_reads_them(text: str, canonical: str) -> None:
    assert str(parse_network(text)) == canonical


@pytest.mark.parametrize("text", ["", "10.0.0.1", "10.0.0.0/33", "fd00::/129", "10.0.0.0/-1", "10.0.0.0/x", "x/8", "10.0.0.0/8/8"])
def test_what_is_no_network_is_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="is not a CIDR"):
        parse_network(text)


@given(st.ip_addresses())
def test_every_canonical_address_is_read_as_ipaddress_reads_it(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    mapped = getattr(address, "ipv4_mapped", None)
    assert parse_address(str(address)) == (mapped or address).packed


@given(st.text())
def test_no_text_makes_it_fail_otherwise(text: str) -> None:
    for parse in (parse_address, parse_network):
        try:
            parse(text)
        except ValueError:
            continue
