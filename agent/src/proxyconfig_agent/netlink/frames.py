"""The frame of netlink messages and attributes, for every protocol that the agent speaks. No meaning, no sockets."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

from proxyconfig_agent.netlink.uapi import NLA_F_NESTED, NLA_TYPE_MASK, NLMSG_DONE, NLMSG_ERROR

HEADER_SIZE = 16
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # nlattr: length, type
_ERROR = struct.Struct("=i")
_NATIVE16, _NATIVE32 = struct.Struct("=H"), struct.Struct("=I")
_new = tuple.__new__  # the constructor of a NamedTuple takes five times as long
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


class Message(NamedTuple):
    kind: int
    flags: int
    payload: bytes
    sequence: int
    """Of the request that it answers."""


def message(kind: int, flags: int, payload: bytes, sequence: int = 0) -> bytes:
    length = HEADER_SIZE + len(payload)
    framed = _HEADER.pack(length, kind, flags, sequence, 0) + payload
    return framed + _PADDING[length & 3] if length & 3 else framed


def messages(received: bytes) -> Iterator[Message]:
    """The messages of one datagram."""
    at, last = 0, len(received) - HEADER_SIZE
    while at <= last:
        length, kind, flags, sequence, _ = _HEADER.unpack_from(received, at)
        yield _new(Message, (kind, flags, received[at + HEADER_SIZE : at + length], sequence))
        at += length + 3 & ~3 if length > HEADER_SIZE else HEADER_SIZE


def error_of(payload: bytes) -> int:
    """The errno in the payload of an NLMSG_ERROR (0: an acknowledgement) or an NLMSG_DONE (0, or no payload: the dump is whole)."""
    number: int = _ERROR.unpack_from(payload)[0] if len(payload) >= _ERROR.size else 0
    return -number


def is_end(kind: int, payload: bytes) -> bool:
    """Whether a message is the last one of an answer. Raises OSError with the kernel's errno if the request, or the dump, failed."""
    if kind not in (NLMSG_DONE, NLMSG_ERROR):
        return False
    if number := error_of(payload):
        raise OSError(number, os.strerror(number))
    return True


def attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(len(value) + 4, kind) + value + _PADDING[len(value) & 3]


def nested(kind: int, *attributes: bytes) -> bytes:
    return attribute(kind | NLA_F_NESTED, b"".join(attributes))


def text(kind: int, words: str) -> bytes:
    """A string, which ends in a zero."""
    return attribute(kind, words.encode() + b"\0")


def be32(kind: int, value: int) -> bytes:
    """A 32-bit number in network order, as nf_tables has nearly all of them."""
    return attribute(kind, value.to_bytes(4, "big"))


def native16(kind: int, value: int) -> bytes:
    """A 16-bit number in the byte order of this machine, as most protocols have them."""
    return attribute(kind, _NATIVE16.pack(value))


def native32(kind: int, value: int) -> bytes:
    """A 32-bit number in the byte order of this machine."""
    return attribute(kind, _NATIVE32.pack(value))


def attributes(payload: bytes, at: int = 0) -> Iterator[tuple[int, bytes]]:
    """The attributes from offset `at` on: type without its flags, and value. Raises ValueError if they are none."""
    end = len(payload)
    while at + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(payload, at)
        if length < 4:
            raise ValueError(f"netlink attribute of {length} bytes at {at}")
        yield kind & NLA_TYPE_MASK, payload[at + 4 : at + length]
        at += length + (-length & 3)


def text_of(value: bytes) -> str:
    """A string attribute's value."""
    return value.rstrip(b"\0").decode(errors="replace")
