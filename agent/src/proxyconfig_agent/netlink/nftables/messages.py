"""The messages of nf_tables, without sequence numbers: `batch` puts those in."""

from __future__ import annotations

import enum
import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple

from proxyconfig_agent.netlink.nftables.attributes import attribute, nest, number, text

SUBSYSTEM = 10 << 8
CREATE = 0x400
APPEND = 0x800
_MESSAGE_LIMIT = 60_000
"""The length of an attribute is 16 bits, so the elements of one message stay below 64 KiB."""


class Kind(enum.IntEnum):
    NEW_TABLE = 0
    GET_TABLE = 1
    DELETE_TABLE = 2
    NEW_CHAIN = 3
    GET_CHAIN = 4
    DELETE_CHAIN = 5
    NEW_RULE = 6
    GET_RULE = 7
    DELETE_RULE = 8
    NEW_SET = 9
    GET_SET = 10
    DELETE_SET = 11
    NEW_ELEMENTS = 12
    GET_ELEMENTS = 13
    DELETE_ELEMENTS = 14
    GET_GENERATION = 16


class Message(NamedTuple):
    kind: Kind
    family: int
    flags: int
    payload: bytes
    about: str
    """What it is about, for errors."""


class Table(NamedTuple):
    """Where objects live. `family` is NFPROTO_IPV4 or NFPROTO_IPV6."""

    family: int
    name: str


def new_table(table: Table, userdata: bytes) -> Message:
    return Message(Kind.NEW_TABLE, table.family, CREATE, text(1, table.name) + number(2, 0) + attribute(6, userdata), f"table {table.name}")


def delete_table(table: Table) -> Message:
    return Message(Kind.DELETE_TABLE, table.family, 0, text(1, table.name), f"table {table.name}")


def new_chain(table: Table, name: str, userdata: bytes = b"") -> Message:
    payload = text(1, table.name) + text(3, name) + (attribute(12, userdata) if userdata else b"")
    return Message(Kind.NEW_CHAIN, table.family, CREATE, payload, f"chain {name}")


def new_base_chain(table: Table, name: str, kind: str, hook: int, priority: int) -> Message:
    where = nest(4, number(1, hook), attribute(2, struct.pack(">i", priority)))
    payload = text(1, table.name) + text(3, name) + where + number(5, 1) + text(7, kind)
    return Message(Kind.NEW_CHAIN, table.family, CREATE, payload, f"chain {name}")


def delete_chain(table: Table, name: str) -> Message:
    return Message(Kind.DELETE_CHAIN, table.family, 0, text(1, table.name) + text(3, name), f"chain {name}")


def new_rule(table: Table, chain: str, expressions: bytes, userdata: bytes) -> Message:
    payload = text(1, table.name) + text(2, chain) + nest(4, expressions) + (attribute(7, userdata) if userdata else b"")
    return Message(Kind.NEW_RULE, table.family, CREATE | APPEND, payload, f"a rule of chain {chain}")


def delete_rules(table: Table, chain: str) -> Message:
    """All rules of a chain."""
    return Message(Kind.DELETE_RULE, table.family, 0, text(1, table.name) + text(2, chain), f"the rules of chain {chain}")


def new_set(
    table: Table,
    name: str,
    *,
    flags: int,
    key: tuple[int, int],
    value: tuple[int, int] | None,
    fields: tuple[int, ...],
    size: int,
    userdata: bytes,
    identifier: int,
) -> Message:
    """`key` and `value` are (nft's type number, length). `fields` are the lengths of a concatenation's parts, needed for intervals.
    `identifier` is a number that no other set of the same batch has."""
    parts = [text(1, table.name), text(2, name), number(3, flags), number(4, key[0]), number(5, key[1])]
    if value:
        parts += [number(6, value[0]), number(7, value[1])]
    description = [number(1, size)] if size else []
    if fields:
        description.append(nest(2, *(nest(1, number(1, length)) for length in fields)))
    if description:
        parts.append(nest(9, *description))
    parts += [number(10, identifier), attribute(13, userdata)]
    return Message(Kind.NEW_SET, table.family, CREATE, b"".join(parts), f"set {name}")


def delete_set(table: Table, name: str) -> Message:
    return Message(Kind.DELETE_SET, table.family, 0, text(1, table.name) + text(2, name), f"set {name}")


def element_messages(kind: Kind, table: Table, name: str, elements: Iterable[bytes]) -> Iterator[Message]:
    """Encoded elements of one set in as few messages as fit them."""
    head = text(1, table.name) + text(2, name)
    flags = CREATE if kind is Kind.NEW_ELEMENTS else 0
    for some in _within_limit(list(elements)):
        yield Message(kind, table.family, flags, head + nest(3, *some), f"set {name}")


def _within_limit(elements: list[bytes]) -> Iterator[list[bytes]]:
    """Cut where the limit is reached."""
    ends = list(accumulate(map(len, elements)))
    start = 0
    while start < len(elements):
        before = ends[start - 1] if start else 0
        stop = max(bisect_right(ends, before + _MESSAGE_LIMIT, start), start + 1)
        yield elements[start:stop]
        start = stop


def query(table: Table, container: str = "") -> bytes:
    """The payload of a GET_: which table, and which set or chain of it."""
    return text(1, table.name) + (text(2, container) if container else b"")
