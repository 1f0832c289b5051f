"""The expressions of rules, as linux/netfilter/nf_tables.h numbers them. A rule is a concatenation of these.

Registers are counted 0..15, four bytes each; a value of 16 bytes takes four of them. Values that the processor compares (meta, ct, numgen)
are in host order, values out of packets in network order.
"""

from __future__ import annotations

import enum
import struct

from proxyconfig_agent.netlink.nftables.attributes import attribute, nest, number, text

_LIST_ELEM = 1
_EXPR_NAME, _EXPR_DATA = 1, 2
_DATA_VALUE, _DATA_VERDICT = 1, 2
_VERDICT_CODE, _VERDICT_CHAIN = 1, 2


class Base(enum.IntEnum):
    """Where `payload` counts from."""

    NETWORK = 1
    TRANSPORT = 2


class Meta(enum.IntEnum):
    PRIORITY = 2
    MARK = 3
    IIFNAME = 6
    L4PROTO = 16


class Ct(enum.IntEnum):
    STATE = 0
    STATUS = 2


class Verdict(enum.IntEnum):
    DROP = 0
    JUMP = -3
    GOTO = -4


class Update(enum.IntEnum):
    """What `dynset` does to its map."""

    UPDATE = 1
    DELETE = 2


CT_STATE_NEW = 8
CT_STATUS_DNAT = 32
RTN_LOCAL = 2


def register(index: int) -> int:
    """The number of a 32-bit register, in the form the kernel prints it: the first of every four has the name of a 128-bit one."""
    return 1 + index // 4 if index % 4 == 0 else 8 + index


def host(value: int) -> bytes:
    """A 32-bit value as registers hold it."""
    return struct.pack("=I", value)


def payload(base: Base, offset: int, length: int, to: int) -> bytes:
    return _expression("payload", number(1, register(to)), number(2, base), number(3, offset), number(4, length))


def meta(key: Meta, to: int) -> bytes:
    return _expression("meta", number(1, register(to)), number(2, key))


def set_meta(key: Meta, source: int) -> bytes:
    return _expression("meta", number(2, key), number(3, register(source)))


def ct(key: Ct, to: int) -> bytes:
    return _expression("ct", number(1, register(to)), number(2, key))


def lookup(name: str, source: int, to: int | None = None, *, inverted: bool = False) -> bytes:
    """Look register `source` up; a miss ends the rule. `to` receives the value of a map."""
    parts = [text(1, name), number(2, register(source))]
    if to is not None:
        parts.append(number(3, register(to)))
    if inverted:
        parts.append(number(5, 1))
    return _expression("lookup", *parts)


def verdict_lookup(name: str, source: int) -> bytes:
    return _expression("lookup", text(1, name), number(2, register(source)), number(3, 0))


def random_number(modulus: int, offset: int, to: int) -> bytes:
    return _expression("numgen", number(1, register(to)), number(2, modulus), number(3, 1), number(4, offset))


def dynset(name: str, operation: Update, key: int, value: int, timeout_ms: int = 0) -> bytes:
    """Write to a map while a packet passes."""
    parts = [text(1, name), number(3, operation), number(4, register(key)), number(5, register(value))]
    if timeout_ms:
        parts.append(attribute(6, timeout_ms.to_bytes(8, "big")))
    return _expression("dynset", *parts)


def bitwise(at: int, mask: bytes, xor: bytes) -> bytes:
    """register = register & mask ^ xor."""
    operands = (number(3, len(mask)), nest(4, attribute(_DATA_VALUE, mask)), nest(5, attribute(_DATA_VALUE, xor)))
    return _expression("bitwise", number(1, register(at)), number(2, register(at)), *operands)


def masked(at: int, mask: int) -> bytes:
    """register = register & mask, of a 32-bit value in host order."""
    return bitwise(at, host(mask), host(0))


def equal(at: int, value: bytes) -> bytes:
    return _compare(at, 0, value)


def unequal(at: int, value: bytes) -> bytes:
    return _compare(at, 1, value)


def immediate(value: bytes, to: int) -> bytes:
    return _expression("immediate", number(1, register(to)), nest(2, attribute(_DATA_VALUE, value)))


def verdict(code: Verdict, chain: str = "") -> bytes:
    return _expression("immediate", number(1, 0), nest(2, nest(_DATA_VERDICT, verdict_payload(code, chain))))


def verdict_payload(code: Verdict, chain: str) -> bytes:
    """What a verdict says, in `immediate` and in the elements of verdict maps."""
    return attribute(_VERDICT_CODE, struct.pack(">i", code)) + (text(_VERDICT_CHAIN, chain) if chain else b"")


def address_type(of_source: bool, to: int) -> bytes:
    """`fib saddr type` or `fib daddr type`."""
    return _expression("fib", number(1, register(to)), number(2, 3), number(3, 1 if of_source else 2))


def destination_nat(family: int, address: int, port: int) -> bytes:
    return _expression("nat", number(1, 1), number(2, family), number(3, register(address)), number(5, register(port)))


def masquerade_fully_random() -> bytes:
    return _expression("masq", number(1, 1 << 4))


def reject(port_unreachable: int) -> bytes:
    return _expression("reject", number(1, 0), attribute(2, bytes((port_unreachable,))))


def _compare(at: int, operation: int, value: bytes) -> bytes:
    return _expression("cmp", number(1, register(at)), number(2, operation), nest(3, attribute(_DATA_VALUE, value)))


def _expression(name: str, *attributes: bytes) -> bytes:
    return nest(_LIST_ELEM, text(_EXPR_NAME, name), nest(_EXPR_DATA, *attributes))
