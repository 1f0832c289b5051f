"""Text to packed addresses, as tolerant as Kubernetes' own parser: numbers with leading zeros are decimal (172.30.0.041 is 172.30.0.41).

`ipaddress` and `inet_pton` refuse those, and the API holds such addresses from before it began to refuse them, too.
"""

from __future__ import annotations

import socket

from proxyconfig_agent.ingest.messages import quoted
from proxyconfig_agent.ingest.model import Address, Network

_MAPPED = b"\0" * 10 + b"\xff\xff"  # ::ffff:0:0/96 is IPv4 to Kubernetes


def parse_address(text: str, size: int = 0) -> Address:
    """An address of either family, or only of the one with `size` bytes. Raises ValueError with a sentence."""
    try:
        packed = _parse_ipv6(text) if ":" in text else _parse_ipv4(text)
    except (OSError, ValueError, UnicodeError):
        raise ValueError(f"{quoted(text)} is not an IP address") from None
    if size and len(packed) != size:
        raise ValueError(f"{quoted(text)} is not an {'IPv4' if size == 4 else 'IPv6'} address")
    return Address(packed)


def parse_network(text: str) -> Network:
    """A CIDR with blanks around it, leading zeros and host bits tolerated. Raises ValueError with a sentence."""
    address, slash, bits = text.strip().partition("/")
    try:
        base = parse_address(address)
        prefix = _decimal(bits, 8 * len(base))
    except ValueError:
        slash = ""
    if not slash:
        raise ValueError(f"{quoted(text)} is not a CIDR") from None
    host_bits = 8 * len(base) - prefix
    masked = int.from_bytes(base) >> host_bits << host_bits
    return Network(Address(masked.to_bytes(len(base))), prefix)


def _parse_ipv4(text: str) -> bytes:
    try:
        return socket.inet_pton(socket.AF_INET, text)
    except OSError:
        octets = text.split(".")
        if len(octets) != 4:
            raise
        return bytes(_decimal(octet, 255) for octet in octets)


def _parse_ipv6(text: str) -> bytes:
    packed = socket.inet_pton(socket.AF_INET6, _with_plain_tail(text))
    return packed[12:] if packed.startswith(_MAPPED) else packed


def _with_plain_tail(text: str) -> str:
    """IPv6 with an IPv4 tail (::ffff:010.1.2.3) loses the leading zeros of that."""
    if "." not in text:
        return text
    head, _, tail = text.rpartition(":")
    return f"{head}:{socket.inet_ntop(socket.AF_INET, _parse_ipv4(tail))}"


def _decimal(digits: str, limit: int) -> int:
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 64:
        raise ValueError(digits)
    number = int(digits)
    if number > limit:
        raise ValueError(digits)
    return number
