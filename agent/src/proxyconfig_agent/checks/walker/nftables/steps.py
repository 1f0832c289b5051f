"""Expressions as functions, as net/netfilter/nft_*.c execute them. An expression, or an attribute of one, that is not known is an error.

A rule meets thousands of packets: what its attributes say is read once, into a function for each expression.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TypeAlias

from proxyconfig_agent.checks.walker.nftables.machine import Machine
from proxyconfig_agent.checks.walker.packet import Packet
from proxyconfig_agent.checks.walker.path import Passage
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.nftables.decoder import Expression, NftVerdict, decode

ACCEPT = NftVerdict(uapi.NF_ACCEPT)
BREAK = NftVerdict(uapi.NFT_BREAK)
"""The rule ends, the next one follows."""
REJECT = NftVerdict(-100)
"""Drop, and answer the sender."""

Step: TypeAlias = Callable[[Machine], NftVerdict | None]
"""What an expression does to registers, packet and memory; the verdict if it has one."""

_LOCAL, _UNICAST = struct.pack("=I", uapi.RTN_LOCAL), struct.pack("=I", uapi.RTN_UNICAST)
_PORTS = range(5)
"""Where the fields of a transport header may begin and end: the two ports."""
_ADDRESSES = {4: range(12, 21), 6: range(8, 41)}
_PROTOCOL = {4: (9, 10), 6: (6, 7)}


@lru_cache(maxsize=20_000)
def steps_of(expressions: bytes) -> tuple[Step, ...]:
    """Of NFTA_RULE_EXPRESSIONS. Raises ValueError, KeyError."""
    return tuple(_step(expression) for expression in decode(expressions))


def _step(expression: Expression) -> Step:
    if expression.name not in _READERS:
        raise ValueError(f"{expression.name} is not known here")
    reader, known = _READERS[expression.name]
    if unknown := set(expression.attributes).difference(known):
        raise ValueError(f"attribute {min(unknown)} of {expression.name} is not known here")
    return reader(expression)


def _only(condition: bool, words: str) -> None:
    if not condition:
        raise ValueError(f"only {words} is known here")


def _payload(expression: Expression) -> Step:
    into, base = expression.word(uapi.NFTA_PAYLOAD_DREG), expression.number(uapi.NFTA_PAYLOAD_BASE)
    begin = expression.number(uapi.NFTA_PAYLOAD_OFFSET)
    end = begin + expression.number(uapi.NFTA_PAYLOAD_LEN)
    _only(base in (uapi.NFT_PAYLOAD_NETWORK_HEADER, uapi.NFT_PAYLOAD_TRANSPORT_HEADER), "the network and the transport header")
    if base == uapi.NFT_PAYLOAD_TRANSPORT_HEADER:
        _only(begin in _PORTS and end in _PORTS, "a port of the transport header")
        return lambda machine: machine.store(into, machine.headers[1][begin:end])

    def of_network(machine: Machine) -> None:
        family = machine.packet.family
        addressed = begin in _ADDRESSES[family] and end in _ADDRESSES[family]
        _only(addressed or (begin, end) == _PROTOCOL[family], "an address or the protocol of the network header")
        machine.store(into, machine.headers[0][begin:end])

    return of_network


def _meta(expression: Expression) -> Step:
    key = expression.number(uapi.NFTA_META_KEY)
    if expression.has(uapi.NFTA_META_SREG):
        return _set_meta(key, expression.word(uapi.NFTA_META_SREG))
    _only(key in _META, "meta priority, mark, iifname, oifname and l4proto")
    of, into = _META[key], expression.word(uapi.NFTA_META_DREG)
    return lambda machine: machine.store(into, of(machine.passage))


def _set_meta(key: int, source: int) -> Step:
    _only(key in _SETTABLE, "setting meta priority and mark")
    setter = _SETTABLE[key]
    return lambda machine: setter(machine.packet, _host(machine.load(source, 4)))


def _ct(expression: Expression) -> Step:
    key, into = expression.number(uapi.NFTA_CT_KEY), expression.word(uapi.NFTA_CT_DREG)
    _only(key in (uapi.NFT_CT_STATE, uapi.NFT_CT_STATUS), "ct state and ct status")
    if key == uapi.NFT_CT_STATE:
        return lambda machine: machine.store(into, struct.pack("=I", uapi.CT_STATE_NEW))  # it is a connection's first packet
    return lambda machine: machine.store(into, struct.pack("=I", uapi.IPS_DST_NAT * machine.packet.translated))


def _lookup(expression: Expression) -> Step:
    name, key = expression.text(uapi.NFTA_LOOKUP_SET), expression.word(uapi.NFTA_LOOKUP_SREG)
    if expression.number(uapi.NFTA_LOOKUP_FLAGS) & uapi.NFT_LOOKUP_F_INV:
        return lambda machine: None if machine.find(name, key) is None else BREAK
    into = expression.word(uapi.NFTA_LOOKUP_DREG) if expression.number(uapi.NFTA_LOOKUP_DREG) else -1

    def step(machine: Machine) -> NftVerdict | None:
        found = machine.find(name, key)
        if found is None:
            return BREAK
        if isinstance(found, NftVerdict):
            return found
        if into >= 0:
            machine.store(into, found)
        return None

    return step


def _dynset(expression: Expression) -> Step:
    name, at = expression.text(uapi.NFTA_DYNSET_SET_NAME), expression.word(uapi.NFTA_DYNSET_SREG_KEY)
    _only(not expression.number(uapi.NFTA_DYNSET_FLAGS), "dynset without flags")
    delete = expression.number(uapi.NFTA_DYNSET_OP) == uapi.NFT_DYNSET_OP_DELETE
    source = expression.word(uapi.NFTA_DYNSET_SREG_DATA) if expression.has(uapi.NFTA_DYNSET_SREG_DATA) else -1

    def step(machine: Machine) -> NftVerdict | None:
        held, memory = machine.table.sets[name], machine.passage.memory
        key = machine.load(at, held.key_length)
        if delete:
            memory.pop((name, key), None)
            return None
        value = machine.load(source, held.value_length) if source >= 0 else b""
        if held.size and (name, key) not in memory and sum(of == name for of, _ in memory) >= held.size:
            return BREAK
        memory.setdefault((name, key), value)
        return None

    return step


def _bitwise(expression: Expression) -> Step:
    source, into = expression.word(uapi.NFTA_BITWISE_SREG), expression.word(uapi.NFTA_BITWISE_DREG)
    _only(expression.number(uapi.NFTA_BITWISE_OP) == uapi.NFT_BITWISE_BOOL, "bitwise by mask and xor")
    length = expression.number(uapi.NFTA_BITWISE_LEN)
    mask, xor = (int.from_bytes(expression.value(kind)) for kind in (uapi.NFTA_BITWISE_MASK, uapi.NFTA_BITWISE_XOR))
    return lambda machine: machine.store(into, (int.from_bytes(machine.load(source, length)) & mask ^ xor).to_bytes(length))


def _cmp(expression: Expression) -> Step:
    value, source = expression.value(uapi.NFTA_CMP_DATA), expression.word(uapi.NFTA_CMP_SREG)
    operation, length = expression.number(uapi.NFTA_CMP_OP), len(value)
    _only(operation in (uapi.NFT_CMP_EQ, uapi.NFT_CMP_NEQ), "to compare for equality")
    equal = operation == uapi.NFT_CMP_EQ
    return lambda machine: None if (machine.load(source, length) == value) is equal else BREAK


def _immediate(expression: Expression) -> Step:
    if expression.number(uapi.NFTA_IMMEDIATE_DREG) == uapi.NFT_REG_VERDICT:
        verdict = expression.verdict(uapi.NFTA_IMMEDIATE_DATA)
        return lambda _: verdict
    into, value = expression.word(uapi.NFTA_IMMEDIATE_DREG), expression.value(uapi.NFTA_IMMEDIATE_DATA)
    return lambda machine: machine.store(into, value)


def _fib(expression: Expression) -> Step:
    of = expression.number(uapi.NFTA_FIB_FLAGS)
    _only(expression.number(uapi.NFTA_FIB_RESULT) == uapi.NFT_FIB_RESULT_ADDRTYPE, "`fib … type`")
    _only(of in (uapi.NFTA_FIB_F_SADDR, uapi.NFTA_FIB_F_DADDR), "fib of one address")
    into, of_source = expression.word(uapi.NFTA_FIB_DREG), of == uapi.NFTA_FIB_F_SADDR

    def step(machine: Machine) -> None:
        address = machine.packet.source if of_source else machine.packet.destination
        machine.store(into, _LOCAL if machine.passage.node.is_local(address) else _UNICAST)

    return step


def _nat(expression: Expression) -> Step:
    _only(expression.number(uapi.NFTA_NAT_TYPE) == uapi.NFT_NAT_DNAT, "dnat")
    _only(not expression.number(uapi.NFTA_NAT_FLAGS) & uapi.NF_NAT_RANGE_NETMAP, "dnat to one address")
    address, port = _single(expression, uapi.NFTA_NAT_REG_ADDR_MIN), _single(expression, uapi.NFTA_NAT_REG_PROTO_MIN)

    def step(machine: Machine) -> NftVerdict:
        packet = machine.packet
        packet.asked_for = packet.destination + packet.port.to_bytes(2)
        if address >= 0:
            packet.destination = machine.load(address, len(packet.destination))
        if port >= 0:
            packet.port = int.from_bytes(machine.load(port, 2))
        packet.translated = True
        return ACCEPT

    return step


def _single(expression: Expression, least: int) -> int:
    """The register of a range that is one value; -1 where there is none. Its other end is the attribute that follows."""
    if not expression.has(least):
        return -1
    _only(expression.number(least + 1, expression.number(least)) == expression.number(least), "dnat to one address and port")
    return expression.word(least)


def _masq(_: Expression) -> Step:
    def step(machine: Machine) -> NftVerdict:
        machine.packet.masqueraded = True
        return ACCEPT

    return step


def _numgen(expression: Expression) -> Step:
    _only(expression.number(uapi.NFTA_NG_TYPE) == uapi.NFT_NG_RANDOM, "numgen random")
    into, below, first = (expression.word(uapi.NFTA_NG_DREG), *map(expression.number, (uapi.NFTA_NG_MODULUS, uapi.NFTA_NG_OFFSET)))
    return lambda machine: machine.store(into, struct.pack("=I", machine.passage.choices.evenly(below) + first))


def _host(octets: bytes) -> int:
    return int(struct.unpack("=I", octets)[0])


def _set_priority(packet: Packet, value: int) -> None:
    packet.priority = value


def _set_mark(packet: Packet, value: int) -> None:
    packet.mark = value


_READERS: Mapping[str, tuple[Callable[[Expression], Step], range]] = {
    "payload": (_payload, range(1, 5)),
    "meta": (_meta, range(1, 4)),
    "ct": (_ct, range(1, 3)),
    "lookup": (_lookup, range(1, 6)),
    "dynset": (_dynset, range(1, 10)),
    "bitwise": (_bitwise, range(1, 7)),
    "cmp": (_cmp, range(1, 4)),
    "immediate": (_immediate, range(1, 3)),
    "fib": (_fib, range(1, 4)),
    "nat": (_nat, range(1, 8)),
    "masq": (_masq, range(1, 2)),
    "reject": (lambda _: lambda _: REJECT, range(1, 3)),
    "numgen": (_numgen, range(1, 5)),
    "counter": (lambda _: lambda _: None, range(1, 4)),
}
"""With the attributes that are known of each."""
_SETTABLE: Mapping[int, Callable[[Packet, int], None]] = {uapi.NFT_META_PRIORITY: _set_priority, uapi.NFT_META_MARK: _set_mark}
_META: Mapping[int, Callable[[Passage], bytes]] = {
    uapi.NFT_META_PRIORITY: lambda passage: struct.pack("=I", passage.packet.priority),
    uapi.NFT_META_MARK: lambda passage: struct.pack("=I", passage.packet.mark),
    uapi.NFT_META_IIFNAME: lambda passage: passage.packet.came_in.encode().ljust(16, b"\0"),
    uapi.NFT_META_OIFNAME: lambda passage: passage.packet.goes_out.encode().ljust(16, b"\0"),
    uapi.NFT_META_L4PROTO: lambda passage: bytes((passage.packet.protocol, 0, 0, 0)),
}
