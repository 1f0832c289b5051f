"""Netlink attributes: a length, a kind, octets, padding to four bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator

NESTED = 0x8000
_KIND = 0x3FFF
_HEADER = struct.Struct("=HH")


def attribute(kind: int, payload: bytes) -> bytes:
    return _HEADER.pack(len(payload) + 4, kind) + payload + b"\0" * (-len(payload) % 4)


def nest(kind: int, *attributes: bytes) -> bytes:
    return attribute(kind | NESTED, b"".join(attributes))


def text(kind: int, words: str) -> bytes:
    return attribute(kind, words.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    """A 32-bit number in network order, as nf_tables has nearly all of them."""
    return attribute(kind, value.to_bytes(4, "big"))


def parse(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """The attributes in `octets` as (kind without flags, payload)."""
    at, end = 0, len(octets)
    while at + 4 <= end:
        length, kind = _HEADER.unpack_from(octets, at)
        if length < 4:
            raise ValueError(f"netlink attribute of {length} bytes at {at}")
        yield kind & _KIND, octets[at + 4 : at + length]
        at += length + (-length % 4)


def covers(dumped: bytes, sent: bytes) -> bool:
    """Whether everything in `sent` is in `dumped`, at every depth. The kernel adds defaults of its own to what it was given."""
    ours = _flagged(sent)
    theirs = list(parse(dumped))
    if _is_list(ours):
        if len(ours) != len(theirs):
            return False
        return all(covers(dump, payload) for (_, payload), (_, dump) in zip(ours, theirs, strict=True))
    by_kind = dict(theirs)
    for kind, payload in ours:
        dump = by_kind.get(kind & _KIND)
        if dump is None or not (covers(dump, payload) if kind & NESTED else dump == payload):
            return False
    return True


def _flagged(octets: bytes) -> list[tuple[int, bytes]]:
    found = []
    at = 0
    while at + 4 <= len(octets):
        length, kind = _HEADER.unpack_from(octets, at)
        found.append((kind, octets[at + 4 : at + length]))
        at += length + (-length % 4)
    return found


def _is_list(attributes: list[tuple[int, bytes]]) -> bool:
    """NFTA_LIST_ELEM, again and again, each a nest."""
    return bool(attributes) and all(kind == 1 | NESTED for kind, _ in attributes)
