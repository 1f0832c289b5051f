"""What the kernel's nf_tables of one network namespace holds, and when it changes, over netlink: the judge of both subjects.

It knows no subject's layout. Attributes, and the fields of concatenations, lie on 4-byte boundaries, so an IPv4 address anywhere in
a rule or an element is one word of a message: a subject has an endpoint when one of its messages has that word.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from collections.abc import Iterable, Iterator

from tests.support.netns.namespace import Namespace

NETLINK_NETFILTER = 12
NFNLGRP_NFTABLES = 7
SOL_NETLINK, ADD_MEMBERSHIP = 270, 1
SO_RCVBUFFORCE = 33

_NFTABLES = 10 << 8
_NEW_RULE, _GET_RULE = _NFTABLES | 6, _NFTABLES | 7
_NEW_SET, _GET_SET = _NFTABLES | 9, _NFTABLES | 10
_NEW_ELEMENT, _GET_ELEMENT = _NFTABLES | 12, _NFTABLES | 13
_NEW_GENERATION, _GET_GENERATION = _NFTABLES | 15, _NFTABLES | 16
_ERROR, _DONE = 2, 3
_REQUEST, _DUMP, _INTERRUPTED = 0x1, 0x300, 0x10
_TABLE, _NAME = 1, 2
"""NFTA_SET_TABLE and NFTA_SET_NAME, and the same numbers among an element list's attributes."""
_GENERATION_ID = 1

_HEADER = struct.Struct("=IHHII")
_FAMILY = struct.Struct("=BBH")
_HEADERS = _HEADER.size + _FAMILY.size
_ATTRIBUTE = struct.Struct("=HH")
_RECEIVE = 1 << 20

Message = tuple[int, int, memoryview]
"""Type, flags and payload, the payload from its family on."""


class InterruptedDumpError(Exception):
    """The ruleset changed while it was read."""


class Ruleset:
    """Reads the rules of one namespace; every method returns at once or after one dump."""

    def __init__(self, namespace: str) -> None:
        self._socket = _open(namespace)

    def close(self) -> None:
        self._socket.close()

    def generation(self) -> int:
        """The number that every commit in the namespace raises; takes no lock, so it is asked often."""
        self._socket.send(_request(_GET_GENERATION, _REQUEST))
        for kind, _, payload in messages_in(self._socket.recv(_RECEIVE)):
            if kind == _NEW_GENERATION:
                return int.from_bytes(dict(_attributes(payload))[_GENERATION_ID])
        raise OSError("nf_tables does not tell its generation")

    def words(self) -> set[int]:
        """All words of all rules and all elements. Raises InterruptedDumpError."""
        found: set[int] = set()
        for payload in self._dump(_GET_RULE, _NEW_RULE):
            found.update(payload.cast("I"))
        for family, table, name in [_set_of(payload) for payload in self._dump(_GET_SET, _NEW_SET)]:
            for payload in self._dump(_GET_ELEMENT, _NEW_ELEMENT, family, _attribute(_TABLE, table) + _attribute(_NAME, name)):
                found.update(payload.cast("I"))
        return found

    def _dump(self, asked: int, answered: int, family: int = 0, attributes: bytes = b"") -> Iterator[memoryview]:
        self._socket.send(_request(asked, _REQUEST | _DUMP, family, attributes))
        interrupted = False
        while True:
            for kind, flags, payload in messages_in(self._socket.recv(_RECEIVE)):
                interrupted = interrupted or bool(flags & _INTERRUPTED)
                if kind == answered:
                    yield payload
                elif kind == _DONE and not interrupted:
                    return
                elif kind in (_DONE, _ERROR):  # a set that is gone meanwhile is an error
                    raise InterruptedDumpError


class Events:
    """Listens to what is committed in one namespace, and tells when an address appears in a new rule or element."""

    def __init__(self, namespace: str) -> None:
        self._socket = _open(namespace)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 128 << 20)
        self._socket.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, NFNLGRP_NFTABLES)
        self._socket.setblocking(False)
        self._awaited: dict[int, asyncio.Future[float]] = {}
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def arrival(self, address: str, cluster_ip: str) -> asyncio.Future[float]:
        """When the kernel has this address, which only one Service has (monotonic seconds); to be called before it can have it."""
        del cluster_ip
        future = asyncio.get_running_loop().create_future()
        self._awaited[word_of(address)] = future
        return future

    def _read(self) -> None:
        while True:
            try:
                datagram = self._socket.recv(_RECEIVE)
            except BlockingIOError:
                return
            now_s = time.monotonic()
            for kind, _, payload in messages_in(datagram):
                if kind in (_NEW_RULE, _NEW_ELEMENT):
                    self._tell(payload.cast("I"), now_s)

    def _tell(self, words: Iterable[int], now_s: float) -> None:
        for word in self._awaited.keys() & set(words):
            future = self._awaited.pop(word)
            if not future.done():
                future.set_result(now_s)


def word_of(address: str) -> int:
    """An IPv4 address as it lies in a message."""
    return int(struct.unpack("=I", socket.inet_aton(address))[0])


def messages_in(datagram: bytes) -> Iterator[Message]:
    """The netlink messages of one datagram. Raises OSError for an error that concerns the request itself."""
    view, at = memoryview(datagram), 0
    while at + _HEADER.size <= len(view):
        length, kind, flags, _, _ = _HEADER.unpack_from(view, at)
        payload = view[at + _HEADER.size : at + length]
        if kind == _ERROR and (number := -struct.unpack_from("=i", payload)[0]) not in (0, 2):  # ENOENT is the caller's to judge
            raise OSError(number, os.strerror(number))
        yield kind, flags, payload[: len(payload) & ~3]
        at += (length + 3) & ~3


def _set_of(payload: memoryview) -> tuple[int, bytes, bytes]:
    found = dict(_attributes(payload))
    return payload[0], bytes(found[_TABLE]), bytes(found[_NAME])


def _attributes(payload: memoryview) -> Iterator[tuple[int, memoryview]]:
    at = _FAMILY.size
    while at + _ATTRIBUTE.size <= len(payload):
        length, kind = _ATTRIBUTE.unpack_from(payload, at)
        yield kind & 0x3FFF, payload[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3


def _attribute(kind: int, content: bytes) -> bytes:
    return _ATTRIBUTE.pack(len(content) + _ATTRIBUTE.size, kind) + content + b"\0" * (-len(content) % 4)


def _request(kind: int, flags: int, family: int = 0, attributes: bytes = b"") -> bytes:
    return _HEADER.pack(_HEADERS + len(attributes), kind, flags, 0, 0) + _FAMILY.pack(family, 0, 0) + attributes


def _open(namespace: str) -> socket.socket:
    def opened() -> socket.socket:
        made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        made.bind((0, 0))
        return made

    return Namespace(namespace, "").call(opened)
