"""The messages of nf_tables, without sequence numbers: `connection` puts those in."""

from __future__ import annotations

import enum
import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple

from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.frames import attribute, be32, nested, text
from proxyconfig_agent.netlink.uapi import NLM_F_APPEND, NLM_F_CREATE

SUBSYSTEM = uapi.NFNL_SUBSYS_NFTABLES << 8
_MESSAGE_LIMIT = 60_000
"""The length of an attribute is 16 bits, so the elements of one message stay below 64 KiB."""


class Kind(enum.IntEnum):
    NEW_TABLE = uapi.NFT_MSG_NEWTABLE
    GET_TABLE = uapi.NFT_MSG_GETTABLE
    DELETE_TABLE = uapi.NFT_MSG_DELTABLE
    NEW_CHAIN = uapi.NFT_MSG_NEWCHAIN
    GET_CHAIN = uapi.NFT_MSG_GETCHAIN
    DELETE_CHAIN = uapi.NFT_MSG_DELCHAIN
    NEW_RULE = uapi.NFT_MSG_NEWRULE
    GET_RULE = uapi.NFT_MSG_GETRULE
    DELETE_RULE = uapi.NFT_MSG_DELRULE
    NEW_SET = uapi.NFT_MSG_NEWSET
    GET_SET = uapi.NFT_MSG_GETSET
    DELETE_SET = uapi.NFT_MSG_DELSET
    NEW_ELEMENTS = uapi.NFT_MSG_NEWSETELEM
    GET_ELEMENTS = uapi.NFT_MSG_GETSETELEM
    DELETE_ELEMENTS = uapi.NFT_MSG_DELSETELEM


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
    payload = text(uapi.NFTA_TABLE_NAME, table.name) + be32(uapi.NFTA_TABLE_FLAGS, 0) + attribute(uapi.NFTA_TABLE_USERDATA, userdata)
    return Message(Kind.NEW_TABLE, table.family, NLM_F_CREATE, payload, f"table {table.name}")


def new_owned_table(table: Table) -> Message:
    """One that nobody else can change, and that goes when the socket is closed that has sent this (Linux 5.12)."""
    payload = text(uapi.NFTA_TABLE_NAME, table.name) + be32(uapi.NFTA_TABLE_FLAGS, uapi.NFT_TABLE_F_OWNER)
    return Message(Kind.NEW_TABLE, table.family, NLM_F_CREATE, payload, f"table {table.name}")


def hooked(table: Table) -> Message:
    """Packets meet the chains of a table that is there: its hooks are registered while the transaction is prepared."""
    return _flagged(table, 0)


def unhooked(table: Table) -> Message:
    """No packet meets the chains of a table that is there, and all of it stays: its hooks go when the transaction is committed."""
    return _flagged(table, uapi.NFT_TABLE_F_DORMANT)


def _flagged(table: Table, flags: int) -> Message:
    payload = text(uapi.NFTA_TABLE_NAME, table.name) + be32(uapi.NFTA_TABLE_FLAGS, flags)
    return Message(Kind.NEW_TABLE, table.family, 0, payload, f"the hooks of table {table.name}")


def delete_table(table: Table) -> Message:
    return Message(Kind.DELETE_TABLE, table.family, 0, text(uapi.NFTA_TABLE_NAME, table.name), f"table {table.name}")


def new_chain(table: Table, name: str, userdata: bytes = b"") -> Message:
    payload = _chain(table, name) + (attribute(uapi.NFTA_CHAIN_USERDATA, userdata) if userdata else b"")
    return Message(Kind.NEW_CHAIN, table.family, NLM_F_CREATE, payload, f"chain {name}")


def new_base_chain(table: Table, name: str, kind: str, hook: int, priority: int) -> Message:
    """With policy accept."""
    where = be32(uapi.NFTA_HOOK_HOOKNUM, hook) + attribute(uapi.NFTA_HOOK_PRIORITY, struct.pack(">i", priority))
    behaviour = be32(uapi.NFTA_CHAIN_POLICY, uapi.NF_ACCEPT) + text(uapi.NFTA_CHAIN_TYPE, kind)
    payload = _chain(table, name) + nested(uapi.NFTA_CHAIN_HOOK, where) + behaviour
    return Message(Kind.NEW_CHAIN, table.family, NLM_F_CREATE, payload, f"chain {name}")


def delete_chain(table: Table, name: str) -> Message:
    return Message(Kind.DELETE_CHAIN, table.family, 0, _chain(table, name), f"chain {name}")


def new_rule(table: Table, chain: str, expressions: bytes, userdata: bytes) -> Message:
    rule = nested(uapi.NFTA_RULE_EXPRESSIONS, expressions) + (attribute(uapi.NFTA_RULE_USERDATA, userdata) if userdata else b"")
    return Message(Kind.NEW_RULE, table.family, NLM_F_CREATE | NLM_F_APPEND, _rules(table, chain) + rule, f"a rule of chain {chain}")


def delete_rules(table: Table, chain: str) -> Message:
    """All rules of a chain: `flush chain`."""
    return Message(Kind.DELETE_RULE, table.family, 0, _rules(table, chain), f"the rules of chain {chain}")


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
    parts = [be32(uapi.NFTA_SET_FLAGS, flags), be32(uapi.NFTA_SET_KEY_TYPE, key[0]), be32(uapi.NFTA_SET_KEY_LEN, key[1])]
    if value:
        parts += [be32(uapi.NFTA_SET_DATA_TYPE, value[0]), be32(uapi.NFTA_SET_DATA_LEN, value[1])]
    if description := _description(size, fields):
        parts.append(nested(uapi.NFTA_SET_DESC, description))
    parts += [be32(uapi.NFTA_SET_ID, identifier), attribute(uapi.NFTA_SET_USERDATA, userdata)]
    return Message(Kind.NEW_SET, table.family, NLM_F_CREATE, _set(table, name) + b"".join(parts), f"set {name}")


def delete_set(table: Table, name: str) -> Message:
    return Message(Kind.DELETE_SET, table.family, 0, _set(table, name), f"set {name}")


def _chain(table: Table, name: str) -> bytes:
    return text(uapi.NFTA_CHAIN_TABLE, table.name) + text(uapi.NFTA_CHAIN_NAME, name)


def _rules(table: Table, chain: str) -> bytes:
    return text(uapi.NFTA_RULE_TABLE, table.name) + text(uapi.NFTA_RULE_CHAIN, chain)


def _set(table: Table, name: str) -> bytes:
    return text(uapi.NFTA_SET_TABLE, table.name) + text(uapi.NFTA_SET_NAME, name)


def _description(size: int, fields: tuple[int, ...]) -> bytes:
    concatenation = (nested(uapi.NFTA_LIST_ELEM, be32(uapi.NFTA_SET_FIELD_LEN, length)) for length in fields)
    limit = be32(uapi.NFTA_SET_DESC_SIZE, size) if size else b""
    return limit + (nested(uapi.NFTA_SET_DESC_CONCAT, *concatenation) if fields else b"")


def element_messages(kind: Kind, table: Table, name: str, elements: Iterable[bytes]) -> Iterator[Message]:
    """Encoded elements of one set in as few messages as fit them."""
    head = text(uapi.NFTA_SET_ELEM_LIST_TABLE, table.name) + text(uapi.NFTA_SET_ELEM_LIST_SET, name)
    flags = NLM_F_CREATE if kind is Kind.NEW_ELEMENTS else 0
    for some in _within_limit(list(elements)):
        yield Message(kind, table.family, flags, head + nested(uapi.NFTA_SET_ELEM_LIST_ELEMENTS, *some), f"set {name}")


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
    """The payload of a GET_: which table, and which set of it (NFTA_*_TABLE is 1 in all of them, NFTA_TABLE_NAME as well)."""
    return text(uapi.NFTA_TABLE_NAME, table.name) + (text(uapi.NFTA_SET_NAME, container) if container else b"")
