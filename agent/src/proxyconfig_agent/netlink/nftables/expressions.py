"""The expressions of rules, as linux/netfilter/nf_tables.h numbers them. A rule is a concatenation of these.

Registers are counted 0..15, four bytes each; a value of 16 bytes takes four of them. Values that the processor compares (meta, ct, numgen)
are in host order, values out of packets in network order.
"""

from __future__ import annotations

import enum
import struct

from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.frames import attribute, attributes, be32, nested, text


class Base(enum.IntEnum):
    """Where `payload` counts from."""

    NETWORK = uapi.NFT_PAYLOAD_NETWORK_HEADER
    TRANSPORT = uapi.NFT_PAYLOAD_TRANSPORT_HEADER


class Meta(enum.IntEnum):
    PRIORITY = uapi.NFT_META_PRIORITY
    MARK = uapi.NFT_META_MARK
    IIFNAME = uapi.NFT_META_IIFNAME
    L4PROTO = uapi.NFT_META_L4PROTO


class Ct(enum.IntEnum):
    STATE = uapi.NFT_CT_STATE
    STATUS = uapi.NFT_CT_STATUS
    DST_IP = uapi.NFT_CT_DST_IP
    DST_IP6 = uapi.NFT_CT_DST_IP6


class Verdict(enum.IntEnum):
    DROP = uapi.NF_DROP
    JUMP = uapi.NFT_JUMP
    GOTO = uapi.NFT_GOTO


class Update(enum.IntEnum):
    """What `dynset` does to its map."""

    UPDATE = uapi.NFT_DYNSET_OP_UPDATE
    DELETE = uapi.NFT_DYNSET_OP_DELETE


def register(index: int) -> int:
    """The number of a 32-bit register, in the form the kernel prints it: the first of every four has the name of a 128-bit one."""
    return uapi.NFT_REG_1 + index // 4 if index % 4 == 0 else uapi.NFT_REG32_00 + index


def host(value: int) -> bytes:
    """A 32-bit value as registers hold it."""
    return struct.pack("=I", value)


def payload(base: Base, offset: int, length: int, to: int) -> bytes:
    """`@nh,offset,length` and `@th,offset,length`; nft prints the known ones as `ip daddr`, `th dport`."""
    where = be32(uapi.NFTA_PAYLOAD_BASE, base) + be32(uapi.NFTA_PAYLOAD_OFFSET, offset) + be32(uapi.NFTA_PAYLOAD_LEN, length)
    return _expression("payload", be32(uapi.NFTA_PAYLOAD_DREG, register(to)), where)


def meta(key: Meta, to: int) -> bytes:
    return _expression("meta", be32(uapi.NFTA_META_DREG, register(to)), be32(uapi.NFTA_META_KEY, key))


def set_meta(key: Meta, source: int) -> bytes:
    """`meta priority set …`."""
    return _expression("meta", be32(uapi.NFTA_META_KEY, key), be32(uapi.NFTA_META_SREG, register(source)))


def ct(key: Ct, to: int) -> bytes:
    return _expression("ct", be32(uapi.NFTA_CT_DREG, register(to)), be32(uapi.NFTA_CT_KEY, key))


def original(key: Ct, to: int) -> bytes:
    """`ct original …`: of the direction in which the connection was opened, as it was before any translation (Linux 4.17)."""
    direction = attribute(uapi.NFTA_CT_DIRECTION, bytes((uapi.IP_CT_DIR_ORIGINAL,)))
    return _expression("ct", be32(uapi.NFTA_CT_DREG, register(to)), be32(uapi.NFTA_CT_KEY, key), direction)


def lookup(name: str, source: int, to: int | None = None, *, inverted: bool = False) -> bytes:
    """`@name`, `map @name`, `!= @name`: look register `source` up; a miss ends the rule. `to` receives the value of a map."""
    parts = [text(uapi.NFTA_LOOKUP_SET, name), be32(uapi.NFTA_LOOKUP_SREG, register(source))]
    if to is not None:
        parts.append(be32(uapi.NFTA_LOOKUP_DREG, register(to)))
    if inverted:
        parts.append(be32(uapi.NFTA_LOOKUP_FLAGS, uapi.NFT_LOOKUP_F_INV))
    return _expression("lookup", *parts)


def verdict_lookup(name: str, source: int) -> bytes:
    """`vmap @name`."""
    where = text(uapi.NFTA_LOOKUP_SET, name) + be32(uapi.NFTA_LOOKUP_SREG, register(source))
    return _expression("lookup", where, be32(uapi.NFTA_LOOKUP_DREG, uapi.NFT_REG_VERDICT))


def random_number(modulus: int, offset: int, to: int) -> bytes:
    """`numgen random mod … offset …`."""
    kind = be32(uapi.NFTA_NG_MODULUS, modulus) + be32(uapi.NFTA_NG_TYPE, uapi.NFT_NG_RANDOM) + be32(uapi.NFTA_NG_OFFSET, offset)
    return _expression("numgen", be32(uapi.NFTA_NG_DREG, register(to)), kind)


def dynset(name: str, operation: Update, key: int, value: int, timeout_ms: int = 0) -> bytes:
    """`update @name { … }`, `delete @name { … }`: write to a map while a packet passes."""
    parts = [text(uapi.NFTA_DYNSET_SET_NAME, name), be32(uapi.NFTA_DYNSET_OP, operation)]
    parts += [be32(uapi.NFTA_DYNSET_SREG_KEY, register(key)), be32(uapi.NFTA_DYNSET_SREG_DATA, register(value))]
    if timeout_ms:
        parts.append(attribute(uapi.NFTA_DYNSET_TIMEOUT, timeout_ms.to_bytes(8, "big")))
    return _expression("dynset", *parts)


def bitwise(at: int, mask: bytes, xor: bytes) -> bytes:
    """register = register & mask ^ xor."""
    registers = be32(uapi.NFTA_BITWISE_SREG, register(at)) + be32(uapi.NFTA_BITWISE_DREG, register(at))
    operands = nested(uapi.NFTA_BITWISE_MASK, _data(mask)) + nested(uapi.NFTA_BITWISE_XOR, _data(xor))
    return _expression("bitwise", registers, be32(uapi.NFTA_BITWISE_LEN, len(mask)), operands)


def masked(at: int, mask: int) -> bytes:
    """register = register & mask, of a 32-bit value in host order."""
    return bitwise(at, host(mask), host(0))


def equal(at: int, value: bytes) -> bytes:
    return _compare(at, uapi.NFT_CMP_EQ, value)


def unequal(at: int, value: bytes) -> bytes:
    return _compare(at, uapi.NFT_CMP_NEQ, value)


def immediate(value: bytes, to: int) -> bytes:
    return _expression("immediate", be32(uapi.NFTA_IMMEDIATE_DREG, register(to)), nested(uapi.NFTA_IMMEDIATE_DATA, _data(value)))


def verdict(code: Verdict, chain: str = "") -> bytes:
    """`drop`, `jump chain`, `goto chain`."""
    data = nested(uapi.NFTA_IMMEDIATE_DATA, nested(uapi.NFTA_DATA_VERDICT, verdict_payload(code, chain)))
    return _expression("immediate", be32(uapi.NFTA_IMMEDIATE_DREG, uapi.NFT_REG_VERDICT), data)


def verdict_payload(code: Verdict, chain: str) -> bytes:
    """What a verdict says, in `immediate` and in the elements of verdict maps."""
    return attribute(uapi.NFTA_VERDICT_CODE, struct.pack(">i", code)) + (text(uapi.NFTA_VERDICT_CHAIN, chain) if chain else b"")


def address_type(of_source: bool, to: int) -> bytes:
    """`fib saddr type` or `fib daddr type`."""
    flags = uapi.NFTA_FIB_F_SADDR if of_source else uapi.NFTA_FIB_F_DADDR
    result = be32(uapi.NFTA_FIB_RESULT, uapi.NFT_FIB_RESULT_ADDRTYPE) + be32(uapi.NFTA_FIB_FLAGS, flags)
    return _expression("fib", be32(uapi.NFTA_FIB_DREG, register(to)), result)


def destination_nat(family: int, address: int, port: int) -> bytes:
    """`dnat to address:port`, of registers."""
    kind = be32(uapi.NFTA_NAT_TYPE, uapi.NFT_NAT_DNAT) + be32(uapi.NFTA_NAT_FAMILY, family)
    to = be32(uapi.NFTA_NAT_REG_ADDR_MIN, register(address)) + be32(uapi.NFTA_NAT_REG_PROTO_MIN, register(port))
    return _expression("nat", kind, to)


def keep_destination(family: int, address: int) -> bytes:
    """`dnat to` the destination that there is, of a register: no other rule translates it any more."""
    kind = be32(uapi.NFTA_NAT_TYPE, uapi.NFT_NAT_DNAT) + be32(uapi.NFTA_NAT_FAMILY, family)
    return _expression("nat", kind, be32(uapi.NFTA_NAT_REG_ADDR_MIN, register(address)))


def masquerade_fully_random() -> bytes:
    """`masquerade fully-random`."""
    return _expression("masq", be32(uapi.NFTA_MASQ_FLAGS, uapi.NF_NAT_RANGE_PROTO_RANDOM_FULLY))


def reject(port_unreachable: int) -> bytes:
    """`reject`, with the ICMP (ICMPv6) code of "port unreachable"."""
    code = attribute(uapi.NFTA_REJECT_ICMP_CODE, bytes((port_unreachable,)))
    return _expression("reject", be32(uapi.NFTA_REJECT_TYPE, uapi.NFT_REJECT_ICMP_UNREACH), code)


def covers(dumped: bytes, sent: bytes) -> bool:
    """Whether everything in `sent` is in `dumped`, at every depth. The kernel adds its defaults."""
    if dumped == sent:  # most nests that hold no others
        return True
    ours = _flagged(sent)
    theirs = list(attributes(dumped))
    if _is_list(ours):
        if len(ours) != len(theirs):
            return False
        return all(covers(dump, value) for (_, value), (_, dump) in zip(ours, theirs, strict=True))
    by_kind = dict(theirs)
    for kind, value in ours:
        dump = by_kind.get(kind & uapi.NLA_TYPE_MASK)
        if dump is None or not (covers(dump, value) if kind & uapi.NLA_F_NESTED else dump == value):
            return False
    return True


def _flagged(octets: bytes) -> list[tuple[int, bytes]]:
    """The attributes with their flags; the kernel sends none."""
    kinds = []
    at = 0
    while at + 4 <= len(octets):
        length, kind = struct.unpack_from("=HH", octets, at)
        kinds.append((kind, octets[at + 4 : at + length]))
        at += length + (-length & 3)
    return kinds


def _is_list(found: list[tuple[int, bytes]]) -> bool:
    """NFTA_LIST_ELEM, again and again, each a nest."""
    return bool(found) and all(kind == uapi.NFTA_LIST_ELEM | uapi.NLA_F_NESTED for kind, _ in found)


def _compare(at: int, operation: int, value: bytes) -> bytes:
    registers = be32(uapi.NFTA_CMP_SREG, register(at)) + be32(uapi.NFTA_CMP_OP, operation)
    return _expression("cmp", registers, nested(uapi.NFTA_CMP_DATA, _data(value)))


def _data(value: bytes) -> bytes:
    return attribute(uapi.NFTA_DATA_VALUE, value)


def _expression(name: str, *parts: bytes) -> bytes:
    return nested(uapi.NFTA_LIST_ELEM, text(uapi.NFTA_EXPR_NAME, name), nested(uapi.NFTA_EXPR_DATA, *parts))
