"""RTM_NEWADDR messages as the kernel sends them."""

from __future__ import annotations

import socket
import struct

import pytest

from proxyconfig_agent.ingest.model import Address
from proxyconfig_agent.node.addresses.local_address import LocalAddress
from proxyconfig_agent.node.addresses.rtnetlink import parse, read


def attribute(kind: int, value: bytes) -> bytes:
    return (struct.pack("=HH", 4 + len(value), kind) + value).ljust(4 + (len(value) + 3 & ~3), b"\0")


def message(family: int, *attributes: bytes, flags: int = 0) -> bytes:
    return struct.pack("=BBBBI", family, 24, flags, 0, 7) + b"".join(attributes)


V4 = socket.inet_aton("192.0.2.1")
PEER = socket.inet_aton("192.0.2.2")
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::1")


def test_the_local_address_of_a_point_to_point_link_is_not_its_peers() -> None:
    found = parse(message(socket.AF_INET, attribute(1, PEER), attribute(2, V4), attribute(3, b"ppp0\0")))
    assert found == LocalAddress(Address(V4), 24, 7)


def test_an_ipv6_address_has_no_local_attribute() -> None:
    assert parse(message(socket.AF_INET6, attribute(1, V6))) == LocalAddress(Address(V6), 24, 7)


def test_a_duplicate_of_another_hosts_address_is_not_ours() -> None:
    assert parse(message(socket.AF_INET6, attribute(1, V6), attribute(8, struct.pack("=I", 0x08)))) is None
    assert parse(message(socket.AF_INET6, attribute(1, V6), flags=0x08)) is None


def test_other_families_are_not_addresses() -> None:
    assert parse(message(28, attribute(1, b"\1\2"))) is None


@pytest.mark.parametrize(
    ("text", "loopback", "link_local"),
    [
        ("127.0.0.1", True, False),
        ("127.8.0.1", True, False),
        ("169.254.1.1", False, True),
        ("192.0.2.1", False, False),
        ("::1", True, False),
        ("::2", False, False),
        ("fe80::1", False, True),
        ("febf::1", False, True),
        ("fec0::1", False, False),
    ],
)
def test_kinds_of_addresses(text: str, loopback: bool, link_local: bool) -> None:
    address = LocalAddress(Address(socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)), 0, 1)
    assert (address.is_loopback, address.is_link_local) == (loopback, link_local)


def test_this_machine_has_a_loopback_address() -> None:
    assert any(address.is_loopback for address in read())
