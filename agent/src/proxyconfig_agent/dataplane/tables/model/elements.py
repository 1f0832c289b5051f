"""Elements of sets in the kernel's own encoding, exactly as it prints them back, so that octets can be compared with octets.

An element is {key, tail}: the tail is what follows the key (end of an interval, value, comment), see `ruleset.Elements`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.frames import attribute, attributes, text_of
from proxyconfig_agent.netlink.nftables import userdata
from proxyconfig_agent.netlink.nftables.expressions import Verdict, verdict_payload
from proxyconfig_agent.netlink.uapi import (
    NFTA_DATA_VALUE,
    NFTA_SET_ELEM_DATA,
    NFTA_SET_ELEM_KEY,
    NFTA_SET_ELEM_KEY_END,
    NFTA_SET_ELEM_USERDATA,
)

_length = struct.Struct("=H")
_KEY_END_KIND = _length.pack(NFTA_SET_ELEM_KEY_END)
_HEADERS = 12
"""Before the key: of the element, of the key, of its value."""


@cache
def _head(key_length: int, tail_length: int) -> bytes:
    """The octets before the key. No nested flags, since the kernel prints none for elements."""
    key = attribute(NFTA_SET_ELEM_KEY, attribute(NFTA_DATA_VALUE, bytes(key_length)))
    return attribute(uapi.NFTA_LIST_ELEM, key + bytes(tail_length))[:_HEADERS]


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
    return attribute(NFTA_SET_ELEM_DATA, attribute(NFTA_DATA_VALUE, value))


def comment_tail(words: str) -> bytes:
    return attribute(NFTA_SET_ELEM_USERDATA, userdata.comment(words))


def end_tail(end: bytes) -> bytes:
    return attribute(NFTA_SET_ELEM_KEY_END, attribute(NFTA_DATA_VALUE, end))


def verdict_tail(chain: str) -> bytes:
    """The value of a verdict map: go to `chain`."""
    return attribute(NFTA_SET_ELEM_DATA, attribute(uapi.NFTA_DATA_VERDICT, verdict_payload(Verdict.GOTO, chain)))


def comment_of(tail: bytes) -> str:
    for kind, payload in attributes(tail):
        if kind == NFTA_SET_ELEM_USERDATA:
            return userdata.comment_in(payload)
    return ""


def value_of(tail: bytes) -> bytes:
    """The value in a map's tail."""
    for kind, payload in attributes(tail):
        if kind == NFTA_SET_ELEM_DATA:
            for _, value in attributes(payload):
                return value
    return b""


def chain_of(tail: bytes) -> str:
    """The chain in a verdict map's tail."""
    for kind, payload in attributes(value_of(tail)):
        if kind == uapi.NFTA_VERDICT_CHAIN:
            return text_of(payload)
    return ""


def counted(elements: Mapping[str, Mapping[bytes, bytes]]) -> int:
    return sum(map(len, elements.values()))
