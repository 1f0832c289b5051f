"""The frame of netlink messages and attributes, as `addresses` and `ctnetlink` need it. No meaning, no sockets."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
DUMP_INTERRUPTED = 0x10
ERROR, DONE = 2, 3

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")
_NESTED = 0x8000
_TYPE = 0x3FFF
_ERROR = struct.Struct("=i")


class Message(NamedTuple):
    kind: int
    flags: int
    payload: bytes
    sequence: int
    """Of the request that it answers."""


def message(kind: int, flags: int, payload: bytes, sequence: int = 0) -> bytes:
    return (_HEADER.pack(_HEADER.size + len(payload), kind, flags, sequence, 0) + payload).ljust(
        _padded(_HEADER.size + len(payload)), b"\0"
    )


def messages(received: bytes) -> Iterator[Message]:
    """The messages of one datagram."""
    at = 0
    while at + _HEADER.size <= len(received):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(received, at)
        yield Message(kind, flags, received[at + _HEADER.size : at + length], sequence)
        at += _padded(max(length, _HEADER.size))


def error_of(payload: bytes) -> int:
    """The errno in the payload of an ERROR message (0: an acknowledgement) or of a DONE one (0: the dump is whole)."""
    number: int = _ERROR.unpack_from(payload)[0] if len(payload) >= _ERROR.size else 0
    return -number


def is_end(kind: int, payload: bytes) -> bool:
    """Whether a message is the last one of an answer. Raises OSError with the kernel's errno if the request, or the dump, failed."""
    if kind not in (DONE, ERROR):
        return False
    if number := error_of(payload):
        raise OSError(number, os.strerror(number))
    return True


def attribute(kind: int, value: bytes) -> bytes:
    return (_ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value).ljust(_padded(_ATTRIBUTE.size + len(value)), b"\0")


def nested(kind: int, *attributes: bytes) -> bytes:
    return attribute(kind | _NESTED, b"".join(attributes))


def attributes(payload: bytes, at: int = 0) -> Iterator[tuple[int, bytes]]:
    """The attributes from offset `at` on: type without its flags, and value."""
    while at + _ATTRIBUTE.size <= len(payload):
        length, kind = _ATTRIBUTE.unpack_from(payload, at)
        if length < _ATTRIBUTE.size:
            return
        yield kind & _TYPE, payload[at + _ATTRIBUTE.size : at + length]
        at += _padded(length)


def _padded(length: int) -> int:
    return length + 3 & ~3
