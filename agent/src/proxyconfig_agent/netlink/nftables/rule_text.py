"""The expressions of a rule as `nft list` prints them. For logs and tests; only what `expressions` can make is known here."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Mapping

from msgspec import Struct

from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.frames import text_of
from proxyconfig_agent.netlink.nftables.decoder import Expression, NftVerdict, decode, decode_verdict

_ADDRESSES = {
    (uapi.NFPROTO_IPV4, 12): "ip saddr",
    (uapi.NFPROTO_IPV4, 16): "ip daddr",
    (uapi.NFPROTO_IPV6, 8): "ip6 saddr",
    (uapi.NFPROTO_IPV6, 24): "ip6 daddr",
}
_PORTS = {0: "th sport", 2: "th dport"}
_SIZES = {uapi.NFPROTO_IPV4: 4, uapi.NFPROTO_IPV6: 16}
_META = {
    uapi.NFT_META_PRIORITY: "meta priority",
    uapi.NFT_META_MARK: "meta mark",
    uapi.NFT_META_IIFNAME: "iifname",
    uapi.NFT_META_L4PROTO: "meta l4proto",
}
_CT = {
    uapi.NFT_CT_STATE: ("ct state", 4),
    uapi.NFT_CT_STATUS: ("ct status", 4),
    uapi.NFT_CT_DST_IP: ("ct original ip daddr", 4),
    uapi.NFT_CT_DST_IP6: ("ct original ip6 daddr", 16),
}
"""Words and length; of those with a direction, the original one."""
_FLAGS = {("ct state", uapi.CT_STATE_NEW): "new", ("ct status", uapi.IPS_DST_NAT): "dnat"}
_ALL = 0xFFFFFFFF
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))


class Operand(Struct, frozen=True):
    """What a register holds: in nft's words, with its length in bytes; a value that is compared with it is written its way."""

    words: str
    length: int
    field: str = ""
    """Without mask: `ip saddr`, `meta mark`."""
    mask: int = 0
    """0: none."""
    value: bytes = b""
    """If it is known."""


class RuleText:
    """Follows the registers through one rule of a family. `key_lengths` are those of the sets that the rule may name, in bytes."""

    def __init__(self, family: int, key_lengths: Mapping[str, int]) -> None:
        self._family, self._key_lengths = family, key_lengths
        self._registers: dict[int, Operand] = {}
        self._printers: Mapping[str, Callable[[Expression], str]] = {
            "payload": self._payload,
            "meta": self._meta,
            "ct": self._ct,
            "fib": self._fib,
            "numgen": self._numgen,
            "immediate": self._immediate,
            "bitwise": self._bitwise,
            "cmp": self._cmp,
            "lookup": self._lookup,
            "dynset": self._dynset,
            "nat": self._nat,
            "masq": lambda _: "masquerade fully-random",
            "reject": lambda _: "reject",
        }

    def of(self, expressions: bytes) -> str:
        """The statements of NFTA_RULE_EXPRESSIONS."""
        statements = (self._printers[each.name](each) for each in decode(expressions))
        return " ".join(statement for statement in statements if statement)

    def _payload(self, expression: Expression) -> str:
        offset, length = expression.number(uapi.NFTA_PAYLOAD_OFFSET), expression.number(uapi.NFTA_PAYLOAD_LEN)
        transport = expression.number(uapi.NFTA_PAYLOAD_BASE) == uapi.NFT_PAYLOAD_TRANSPORT_HEADER
        field = _PORTS[offset] if transport else _ADDRESSES[self._family, offset]
        return self._load(expression.word(uapi.NFTA_PAYLOAD_DREG), Operand(field, length, field))

    def _meta(self, expression: Expression) -> str:
        field = _META[expression.number(uapi.NFTA_META_KEY)]
        if expression.has(uapi.NFTA_META_SREG):
            return f"{field} set {self._at(expression.word(uapi.NFTA_META_SREG)).words}"
        return self._load(expression.word(uapi.NFTA_META_DREG), Operand(field, 16 if field == "iifname" else 4, field))

    def _ct(self, expression: Expression) -> str:
        field, length = _CT[expression.number(uapi.NFTA_CT_KEY)]
        return self._load(expression.word(uapi.NFTA_CT_DREG), Operand(field, length, field))

    def _fib(self, expression: Expression) -> str:
        field = "fib saddr type" if expression.number(uapi.NFTA_FIB_FLAGS) == uapi.NFTA_FIB_F_SADDR else "fib daddr type"
        return self._load(expression.word(uapi.NFTA_FIB_DREG), Operand(field, 4, field))

    def _numgen(self, expression: Expression) -> str:
        offset = expression.number(uapi.NFTA_NG_OFFSET)
        words = f"numgen random mod {expression.number(uapi.NFTA_NG_MODULUS)}" + (f" offset {offset}" if offset else "")
        return self._load(expression.word(uapi.NFTA_NG_DREG), Operand(words, 4))

    def _immediate(self, expression: Expression) -> str:
        if expression.number(uapi.NFTA_IMMEDIATE_DREG) == uapi.NFT_REG_VERDICT:
            return _verdict_words(expression.verdict(uapi.NFTA_IMMEDIATE_DATA))
        value = expression.value(uapi.NFTA_IMMEDIATE_DATA)
        words = f"0x{value.hex()}" if any(value) else "none"
        return self._load(expression.word(uapi.NFTA_IMMEDIATE_DREG), Operand(words, len(value), value=value))

    def _bitwise(self, expression: Expression) -> str:
        before = self._at(expression.word(uapi.NFTA_BITWISE_SREG))
        mask, xor = (expression.value(kind) for kind in (uapi.NFTA_BITWISE_MASK, uapi.NFTA_BITWISE_XOR))
        if before.field in _ADDRESSES.values():
            after = Operand(before.words, before.length, before.field, int.from_bytes(mask))
        else:
            after = _masked(before, _host(mask), _host(xor))
        return self._load(expression.word(uapi.NFTA_BITWISE_DREG), after)

    def _cmp(self, expression: Expression) -> str:
        operand, value = self._at(expression.word(uapi.NFTA_CMP_SREG)), expression.value(uapi.NFTA_CMP_DATA)
        unequal = expression.number(uapi.NFTA_CMP_OP) == uapi.NFT_CMP_NEQ
        if flag := _FLAGS.get((operand.field, operand.mask)):
            return f"{operand.field} {flag if unequal else f'! {flag}'}"
        return f"{operand.words} {'!= ' if unequal else ''}{self._compared(operand, value)}"

    def _compared(self, operand: Operand, value: bytes) -> str:
        if operand.field in _ADDRESSES.values():
            size = _SIZES[self._family]
            prefix = operand.mask.bit_count() if operand.mask else 8 * len(value)
            address = socket.inet_ntop(socket.AF_INET if size == 4 else socket.AF_INET6, value.ljust(size, b"\0"))
            return address if prefix == 8 * size else f"{address}/{prefix}"
        if operand.field == "iifname":
            name = text_of(value)
            return f'"{name}"' if len(value) == operand.length else f'"{name}*"'
        return _COMPARED.get(operand.field, _hexadecimal)(value)

    def _lookup(self, expression: Expression) -> str:
        name = expression.text(uapi.NFTA_LOOKUP_SET)
        key = self._key(expression.word(uapi.NFTA_LOOKUP_SREG), name)
        if not expression.has(uapi.NFTA_LOOKUP_DREG):
            return f"{key} {'!= ' if expression.number(uapi.NFTA_LOOKUP_FLAGS) & uapi.NFT_LOOKUP_F_INV else ''}@{name}"
        if expression.number(uapi.NFTA_LOOKUP_DREG) == uapi.NFT_REG_VERDICT:
            return f"{key} vmap @{name}"
        return self._load(expression.word(uapi.NFTA_LOOKUP_DREG), Operand(f"{key} map @{name}", 4))

    def _dynset(self, expression: Expression) -> str:
        name = expression.text(uapi.NFTA_DYNSET_SET_NAME)
        verb = "update" if expression.number(uapi.NFTA_DYNSET_OP) == uapi.NFT_DYNSET_OP_UPDATE else "delete"
        timeout_ms = expression.number(uapi.NFTA_DYNSET_TIMEOUT)
        timeout = f" timeout {_duration(timeout_ms)}" if timeout_ms else ""
        value = self._at(expression.word(uapi.NFTA_DYNSET_SREG_DATA)).words
        return f"{verb} @{name} {{ {self._key(expression.word(uapi.NFTA_DYNSET_SREG_KEY), name)}{timeout} : {value} }}"

    def _nat(self, expression: Expression) -> str:
        to = self._at(expression.word(uapi.NFTA_NAT_REG_ADDR_MIN))
        if not expression.has(uapi.NFTA_NAT_REG_PROTO_MIN):
            return f"dnat to {to.words}"
        port = self._registers.get(expression.word(uapi.NFTA_NAT_REG_PROTO_MIN))
        if not to.value or port is None:
            return f"dnat {'ip' if self._family == uapi.NFPROTO_IPV4 else 'ip6'} to {to.words}"
        address = socket.inet_ntop(socket.AF_INET if len(to.value) == 4 else socket.AF_INET6, to.value)
        return f"dnat to {address if len(to.value) == 4 else f'[{address}]'}:{int.from_bytes(port.value)}"

    def _load(self, word: int, operand: Operand) -> str:
        self._registers[word] = operand
        return ""

    def _at(self, word: int) -> Operand:
        return self._registers[word]

    def _key(self, index: int, name: str) -> str:
        """The registers that make up a key of the set."""
        end, words = index + self._key_lengths[name] // 4, list[str]()
        while index < end:
            operand = self._registers[index]
            words.append(operand.words)
            index += (operand.length + 3) // 4
        return " . ".join(words)


def verdict_text(payload: bytes) -> str:
    """NFTA_DATA_VERDICT: `drop`, `goto chain`."""
    return _verdict_words(decode_verdict(payload))


def _verdict_words(verdict: NftVerdict) -> str:
    word = {uapi.NF_DROP: "drop", uapi.NFT_JUMP: "jump", uapi.NFT_GOTO: "goto"}[verdict.code]
    return f"{word} {verdict.chain}" if verdict.chain else word


def _masked(before: Operand, mask: int, xor: int) -> Operand:
    """`x & m`, `x | bit`, `x ^ bit` of a 32-bit value in host order; tc handles are written in halves."""
    if not xor:
        value = f"{mask >> 16:x}:{mask & 0xFFFF:x}" if before.field == "meta priority" else f"0x{mask:08x}"
        return Operand(f"{before.words} & {value}", 4, before.field, mask)
    return Operand(f"{before.words} {'^' if mask == _ALL else '|'} 0x{xor:08x}", 4, before.field)


def _host(value: bytes) -> int:
    return int(struct.unpack("=I", value)[0])


def _hexadecimal(value: bytes) -> str:
    return f"0x{_host(value):08x}"


def _tc_handle(value: bytes) -> str:
    """In halves, as tc has them."""
    return f"{_host(value) >> 16:x}:{_host(value) & 0xFFFF:x}" if any(value) else "none"


_COMPARED: Mapping[str, Callable[[bytes], str]] = {
    "fib saddr type": lambda _: "local",
    "fib daddr type": lambda _: "local",
    "meta l4proto": lambda value: {socket.IPPROTO_TCP: "tcp", socket.IPPROTO_UDP: "udp", socket.IPPROTO_SCTP: "sctp"}[value[0]],
    "meta priority": _tc_handle,
    "th sport": lambda value: str(int.from_bytes(value)),
    "th dport": lambda value: str(int.from_bytes(value)),
}
"""How a value is written that a field is compared with."""


def _duration(ms: int) -> str:
    words = ""
    for unit, length in _UNITS:
        if count := ms // length:
            words, ms = f"{words}{count}{unit}", ms % length
    return words
