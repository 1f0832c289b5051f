"""Elements of sets in the kernel's own encoding, exactly as it prints them back, so that octets can be compared with octets.

An element is {key, tail}: the tail is what follows the key (end of an interval, value, comment), see `ruleset.Elements`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from proxyconfig_agent.netlink.nftables import userdata
from proxyconfig_agent.netlink.nftables.attributes import attribute, parse
from proxyconfig_agent.netlink.nftables.expressions import Verdict, verdict_payload

_LIST_ELEM, _KEY, _DATA, _USERDATA, _KEY_END, _VALUE, _VERDICT, _VERDICT_CHAIN = 1, 1, 2, 6, 10, 1, 2, 2
_length = struct.Struct("=H")
_KEY_END_KIND = _length.pack(_KEY_END)
_HEADERS = 12
"""Before the key: of the element, of the key, of its value."""


@cache
def _head(key_length: int, tail_length: int) -> bytes:
    """The octets before the key. No nested flags, since the kernel prints none for elements."""
    key = attribute(_KEY, attribute(_VALUE, bytes(key_length)))
    return attribute(_LIST_ELEM, key + bytes(tail_length))[:_HEADERS]


def encoded(elements: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    """Elements of a message."""
    return [_head(len(key), len(tail)) + key + tail for key, tail in elements]


def encoded_key(key: bytes, tail: bytes) -> bytes:
    """The element as a deletion names it: without its value, but with the end of its interval."""
    end = tail[: 8 + len(key)] if tail[2:4] == _KEY_END_KIND else b""
    return _head(len(key), len(end)) + key + end


def decoded(payload: bytes, key_length: int) -> Iterator[tuple[bytes, bytes]]:
    """The (key, tail) pairs in a NFTA_SET_ELEM_LIST_ELEMENTS attribute of the kernel."""
    at, end = 0, len(payload)
    after = _HEADERS + key_length
    while at < end:
        (length,) = _length.unpack_from(payload, at)
        yield payload[at + _HEADERS : at + after], payload[at + after : at + length]
        at += length + (-length % 4)


def value_tail(value: bytes) -> bytes:
    return attribute(_DATA, attribute(_VALUE, value))


def comment_tail(words: str) -> bytes:
    return attribute(_USERDATA, userdata.comment(words))


def end_tail(end: bytes) -> bytes:
    return attribute(_KEY_END, attribute(_VALUE, end))


def verdict_tail(chain: str) -> bytes:
    """The value of a verdict map: go to `chain`."""
    return attribute(_DATA, attribute(_VERDICT, verdict_payload(Verdict.GOTO, chain)))


def comment_of(tail: bytes) -> str:
    for kind, payload in parse(tail):
        if kind == _USERDATA:
            return userdata.comment_in(payload)
    return ""


def value_of(tail: bytes) -> bytes:
    """The value in a map's tail."""
    for kind, payload in parse(tail):
        if kind == _DATA:
            for _, value in parse(payload):
                return value
    return b""


def chain_of(tail: bytes) -> str:
    """The chain in a verdict map's tail."""
    for kind, payload in parse(value_of(tail)):
        if kind == _VERDICT_CHAIN:
            return payload.rstrip(b"\0").decode()
    return ""


def counted(elements: Mapping[str, Mapping[bytes, bytes]]) -> int:
    return sum(map(len, elements.values()))
