"""Expressions that bring into a register what a packet, its connection or chance says; and `meta … set`, the way back."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from proxyconfig_agent.checks.walker.nftables.machine import Machine, Step
from proxyconfig_agent.checks.walker.packet import Packet
from proxyconfig_agent.checks.walker.path import Passage
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.nftables.decoder import Expression

_LOCAL, _UNICAST = struct.pack("=I", uapi.RTN_LOCAL), struct.pack("=I", uapi.RTN_UNICAST)
_PORTS = range(5)
"""Where the fields of a transport header may begin and end: the two ports."""
_ADDRESSES = {4: range(12, 21), 6: range(8, 41)}
_PROTOCOL = {4: (9, 10), 6: (6, 7)}


def only(condition: bool, words: str) -> None:
    """Raises ValueError."""
    if not condition:
        raise ValueError(f"only {words} is known here")


def payload(expression: Expression) -> Step:
    into, base = expression.word(uapi.NFTA_PAYLOAD_DREG), expression.number(uapi.NFTA_PAYLOAD_BASE)
    begin = expression.number(uapi.NFTA_PAYLOAD_OFFSET)
    end = begin + expression.number(uapi.NFTA_PAYLOAD_LEN)
    only(base in (uapi.NFT_PAYLOAD_NETWORK_HEADER, uapi.NFT_PAYLOAD_TRANSPORT_HEADER), "the network and the transport header")
    if base == uapi.NFT_PAYLOAD_TRANSPORT_HEADER:
        only(begin in _PORTS and end in _PORTS, "a port of the transport header")
        return lambda machine: machine.store(into, machine.headers[1][begin:end])

    def of_network(machine: Machine) -> None:
        family = machine.packet.family
        addressed = begin in _ADDRESSES[family] and end in _ADDRESSES[family]
        only(addressed or (begin, end) == _PROTOCOL[family], "an address or the protocol of the network header")
        machine.store(into, machine.headers[0][begin:end])

    return of_network


def meta(expression: Expression) -> Step:
    key = expression.number(uapi.NFTA_META_KEY)
    if expression.has(uapi.NFTA_META_SREG):
        return _set_meta(key, expression.word(uapi.NFTA_META_SREG))
    only(key in _META, "meta priority, mark, iifname, oifname and l4proto")
    of, into = _META[key], expression.word(uapi.NFTA_META_DREG)
    return lambda machine: machine.store(into, of(machine.passage))


def _set_meta(key: int, source: int) -> Step:
    only(key in _SETTABLE, "setting meta priority and mark")
    setter = _SETTABLE[key]
    return lambda machine: setter(machine.packet, _host(machine.load(source, 4)))


def ct(expression: Expression) -> Step:
    key, into = expression.number(uapi.NFTA_CT_KEY), expression.word(uapi.NFTA_CT_DREG)
    if expression.has(uapi.NFTA_CT_DIRECTION):
        return _original(expression, into)
    only(key in (uapi.NFT_CT_STATE, uapi.NFT_CT_STATUS), "ct state and ct status")
    if key == uapi.NFT_CT_STATE:
        return lambda machine: machine.store(into, struct.pack("=I", uapi.CT_STATE_NEW))  # it is a connection's first packet
    return lambda machine: machine.store(into, struct.pack("=I", uapi.IPS_DST_NAT * machine.packet.translated))


def _original(expression: Expression, into: int) -> Step:
    known = expression.number(uapi.NFTA_CT_KEY) in (uapi.NFT_CT_DST_IP, uapi.NFT_CT_DST_IP6)
    only(known and expression.number(uapi.NFTA_CT_DIRECTION) == uapi.IP_CT_DIR_ORIGINAL, "ct original daddr")
    return lambda machine: machine.store(into, machine.packet.asked_for[:-2] or machine.packet.destination)


def fib(expression: Expression) -> Step:
    of = expression.number(uapi.NFTA_FIB_FLAGS)
    only(expression.number(uapi.NFTA_FIB_RESULT) == uapi.NFT_FIB_RESULT_ADDRTYPE, "`fib … type`")
    only(of in (uapi.NFTA_FIB_F_SADDR, uapi.NFTA_FIB_F_DADDR), "fib of one address")
    into, of_source = expression.word(uapi.NFTA_FIB_DREG), of == uapi.NFTA_FIB_F_SADDR

    def step(machine: Machine) -> None:
        address = machine.packet.source if of_source else machine.packet.destination
        machine.store(into, _LOCAL if machine.passage.node.is_local(address) else _UNICAST)

    return step


def numgen(expression: Expression) -> Step:
    only(expression.number(uapi.NFTA_NG_TYPE) == uapi.NFT_NG_RANDOM, "numgen random")
    into, below, first = (expression.word(uapi.NFTA_NG_DREG), *map(expression.number, (uapi.NFTA_NG_MODULUS, uapi.NFTA_NG_OFFSET)))
    return lambda machine: machine.store(into, struct.pack("=I", machine.passage.choices.evenly(below) + first))


def _host(octets: bytes) -> int:
    return int(struct.unpack("=I", octets)[0])


def _set_priority(packet: Packet, value: int) -> None:
    packet.priority = value


def _set_mark(packet: Packet, value: int) -> None:
    packet.mark = value


_SETTABLE: Mapping[int, Callable[[Packet, int], None]] = {uapi.NFT_META_PRIORITY: _set_priority, uapi.NFT_META_MARK: _set_mark}
_META: Mapping[int, Callable[[Passage], bytes]] = {
    uapi.NFT_META_PRIORITY: lambda passage: struct.pack("=I", passage.packet.priority),
    uapi.NFT_META_MARK: lambda passage: struct.pack("=I", passage.packet.mark),
    uapi.NFT_META_IIFNAME: lambda passage: passage.packet.came_in.encode().ljust(16, b"\0"),
    uapi.NFT_META_OIFNAME: lambda passage: passage.packet.goes_out.encode().ljust(16, b"\0"),
    uapi.NFT_META_L4PROTO: lambda passage: bytes((passage.packet.protocol, 0, 0, 0)),
}
