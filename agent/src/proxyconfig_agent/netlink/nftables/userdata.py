"""What `nft` keeps beside the objects so that it can print them as they were written: comments, and the types of set keys and values.

The kernel stores these octets and never looks at them. They are a type, a length (one byte each), a value; numbers are in host order.
"""

from __future__ import annotations

from proxyconfig_agent.netlink.nftables.expressions import host

HOST_ORDER, NETWORK_ORDER, MIXED_ORDER = 1, 2, 0

_SET_KEY_ORDER, _SET_DATA_ORDER, _SET_MERGE, _SET_KEY_TYPEOF, _SET_DATA_TYPEOF, _SET_COMMENT = 0, 1, 2, 3, 4, 7
_VERDICT, _PAYLOAD, _META, _CONCAT, _NUMGEN = 1, 7, 9, 13, 23
_COMMENT = 0
_LONGEST = 254


def comment(words: str) -> bytes:
    """The comment of a rule, a chain, a table or an element; one that does not fit ends in `...`."""
    return _value(_COMMENT, _comment(words))


def set_userdata(key_order: int, key: bytes, data_order: int | None, data: bytes, words: str) -> bytes:
    """Of a set (`data_order` None) or a map. `key` and `data` come from the `typeof` functions here, or are empty for plain types."""
    parts = [_value(_SET_KEY_ORDER, host(key_order))]
    if data_order is not None:
        parts.append(_value(_SET_DATA_ORDER, host(data_order)))
    if key:
        parts.append(_value(_SET_KEY_TYPEOF, key))
    if data:
        parts.append(_value(_SET_DATA_TYPEOF, data))
    if words:
        parts.append(_value(_SET_COMMENT, _comment(words)))
    return b"".join(parts)


def typeof_meta(key: int) -> bytes:
    return _typeof(_META, _value(0, host(key)))


def typeof_payload(protocol: int, field: int) -> bytes:
    """By nft's numbers of protocol descriptions and their fields (proto.h of nftables)."""
    return _typeof(_PAYLOAD, _value(0, host(protocol)) + _value(1, host(field)))


def typeof_numgen(modulus: int) -> bytes:
    return _typeof(_NUMGEN, _value(0, host(1)) + _value(1, host(modulus)) + _value(2, host(0)))


def typeof_verdict() -> bytes:
    return _typeof(_VERDICT, b"")


def typeof_concatenation(*parts: bytes) -> bytes:
    return _typeof(_CONCAT, b"".join(_value(place, part) for place, part in enumerate(parts)))


def comment_in(userdata: bytes) -> str:
    """The comment in the userdata of a rule, a chain or an element; empty if it has none."""
    at = 0
    while at + 2 <= len(userdata):
        kind, length = userdata[at], userdata[at + 1]
        if kind == _COMMENT:
            return userdata[at + 2 : at + 2 + length].rstrip(b"\0").decode(errors="replace")
        at += 2 + length
    return ""


def _comment(words: str) -> bytes:
    octets = words.encode()
    if len(octets) >= _LONGEST:
        octets = octets[: _LONGEST - 4] + b"..."
    return octets + b"\0"


def _typeof(kind: int, details: bytes) -> bytes:
    return _value(0, host(kind)) + _value(1, details)


def _value(kind: int, octets: bytes) -> bytes:
    return bytes((kind, len(octets))) + octets
