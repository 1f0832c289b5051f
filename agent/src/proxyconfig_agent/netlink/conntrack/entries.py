"""Entries of connection tracking as values, and the messages that exchange one for another. No sockets.

Addresses are packed: 4 or 16 bytes.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from proxyconfig_agent.netlink import nfnetlink, uapi
from proxyconfig_agent.netlink.conntrack.requests import Kind, Request
from proxyconfig_agent.netlink.frames import attribute, attributes, be32, nested

_IPV4_SIZE = 4
_IP = {4: (uapi.CTA_IP_V4_SRC, uapi.CTA_IP_V4_DST), 16: (uapi.CTA_IP_V6_SRC, uapi.CTA_IP_V6_DST)}
_NAT_IP = {4: uapi.CTA_NAT_V4_MINIP, 16: uapi.CTA_NAT_V6_MINIP}
_FLAGS = struct.Struct("=BB")  # nf_ct_tcp_flags: flags, and which of them the message sets
_KEPT_STATUS = uapi.IPS_SEEN_REPLY | uapi.IPS_ASSURED
_COPIED = (uapi.CTA_TIMEOUT, uapi.CTA_MARK, uapi.CTA_ZONE)


class End(NamedTuple):
    address: bytes
    port: int


class Direction(NamedTuple):
    """Where packets of one direction come from and go to, as connection tracking sees them."""

    source: End
    destination: End

    @property
    def opposite(self) -> Direction:
        return Direction(self.destination, self.source)


class Entry(NamedTuple):
    """`reply` is what answers look like: translations are the difference to the opposite of `original`.

    Ports are 0 where the protocol has none."""

    protocol: int
    original: Direction
    reply: Direction
    status: int
    """IPS_ bits."""
    state: int
    """TCP_CONNTRACK_ of TCP; 0 of others."""
    attributes: Mapping[int, bytes]
    """As the kernel wrote them."""


def question(protocol: int) -> bytes:
    """All entries of a protocol, for `exchange.dump` (Linux 5.8)."""
    by_protocol = attribute(uapi.CTA_FILTER_ORIG_FLAGS, struct.pack("=I", uapi.CTA_FILTER_F_CTA_PROTO_NUM))
    wanted = nested(uapi.CTA_TUPLE_PROTO, attribute(uapi.CTA_PROTO_NUM, bytes((protocol,))))
    return nested(uapi.CTA_FILTER, by_protocol) + nested(uapi.CTA_TUPLE_ORIG, wanted)


def question_by_answers(protocol: int, port: int) -> bytes:
    """All entries of a protocol whose answers come from this port, for `exchange.dump`; all of any before Linux 5.8."""
    by = uapi.CTA_FILTER_F_CTA_PROTO_NUM | uapi.CTA_FILTER_F_CTA_PROTO_SRC_PORT
    number, source = attribute(uapi.CTA_PROTO_NUM, bytes((protocol,))), attribute(uapi.CTA_PROTO_SRC_PORT, port.to_bytes(2))
    wanted = nested(uapi.CTA_TUPLE_REPLY, nested(uapi.CTA_TUPLE_PROTO, number, source))
    return nested(uapi.CTA_FILTER, attribute(uapi.CTA_FILTER_REPLY_FLAGS, struct.pack("=I", by))) + wanted


def parse(payload: bytes) -> Entry:
    """An entry of a dump."""
    found = nfnetlink.attributes(payload)
    protocol, original = _direction(found[uapi.CTA_TUPLE_ORIG])
    _, reply = _direction(found[uapi.CTA_TUPLE_REPLY])
    status = int.from_bytes(found.get(uapi.CTA_STATUS, b""))
    return Entry(protocol, original, reply, status, _tcp_state(found), found)


def deletion(entry: Entry) -> Request:
    """ENOENT: there is none any more."""
    return Request(Kind.DELETE, _tuple(uapi.CTA_TUPLE_ORIG, entry.protocol, entry.original) + _copied(entry, (uapi.CTA_ZONE,)))


def insertion(entry: Entry) -> Request:
    """The same connection, its translations made by connection tracking itself. EEXIST: there is an entry."""
    tuples = _tuple(uapi.CTA_TUPLE_ORIG, entry.protocol, entry.original)
    tuples += _tuple(uapi.CTA_TUPLE_REPLY, entry.protocol, entry.original.opposite)
    status = be32(uapi.CTA_STATUS, uapi.IPS_CONFIRMED | entry.status & _KEPT_STATUS)
    rest = b"".join(_translations(entry)) + _copied(entry, _COPIED) + status + _protocol_state(entry)
    return Request(Kind.NEW, tuples + rest, uapi.NLM_F_CREATE | uapi.NLM_F_EXCL)


def _translations(entry: Entry) -> Iterator[bytes]:
    if entry.reply.source != entry.original.destination:
        yield _translation(uapi.CTA_NAT_DST, entry.reply.source)
    if entry.reply.destination != entry.original.source:
        yield _translation(uapi.CTA_NAT_SRC, entry.reply.destination)


def _translation(kind: int, to: End) -> bytes:
    port = nested(uapi.CTA_NAT_PROTO, attribute(uapi.CTA_PROTONAT_PORT_MIN, to.port.to_bytes(2)))
    return nested(kind, attribute(_NAT_IP[len(to.address)], to.address), port)


def _protocol_state(entry: Entry) -> bytes:
    """Of TCP, connection tracking begins without the windows: so packets outside of them are to pass, as after a restart of a firewall."""
    state = entry.attributes.get(uapi.CTA_PROTOINFO)
    if state is None:
        return b""
    if entry.protocol != socket.IPPROTO_TCP:
        return nested(uapi.CTA_PROTOINFO, *(nested(kind, value) for kind, value in attributes(state)))
    tcp = attributes(dict(attributes(state))[uapi.CTA_PROTOINFO_TCP])
    liberal = (attribute(kind, _liberal(kind, value)) for kind, value in tcp)
    return nested(uapi.CTA_PROTOINFO, nested(uapi.CTA_PROTOINFO_TCP, *liberal))


def _liberal(kind: int, value: bytes) -> bytes:
    if kind not in (uapi.CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, uapi.CTA_PROTOINFO_TCP_FLAGS_REPLY):
        return value
    return _FLAGS.pack(value[0] | uapi.IP_CT_TCP_FLAG_BE_LIBERAL, 0xFF)


def _tcp_state(found: Mapping[int, bytes]) -> int:
    tcp = dict(attributes(found.get(uapi.CTA_PROTOINFO, b""))).get(uapi.CTA_PROTOINFO_TCP, b"")
    return int.from_bytes(dict(attributes(tcp)).get(uapi.CTA_PROTOINFO_TCP_STATE, b""))


def _direction(value: bytes) -> tuple[int, Direction]:
    """The protocol, and the direction."""
    parts = dict(attributes(value))
    ip, protocol = dict(attributes(parts[uapi.CTA_TUPLE_IP])), dict(attributes(parts[uapi.CTA_TUPLE_PROTO]))
    source, destination = _IP[_IPV4_SIZE] if uapi.CTA_IP_V4_SRC in ip else _IP[16]
    ports = (int.from_bytes(protocol.get(kind, b"")) for kind in (uapi.CTA_PROTO_SRC_PORT, uapi.CTA_PROTO_DST_PORT))
    ends = map(End, (ip[source], ip[destination]), ports)
    return protocol[uapi.CTA_PROTO_NUM][0], Direction(*ends)


def _tuple(kind: int, protocol: int, direction: Direction) -> bytes:
    kinds = _IP[len(direction.source.address)]
    addresses = (attribute(each, end.address) for each, end in zip(kinds, direction, strict=True))
    kinds = (uapi.CTA_PROTO_SRC_PORT, uapi.CTA_PROTO_DST_PORT)
    ports = (attribute(each, end.port.to_bytes(2)) for each, end in zip(kinds, direction, strict=True))
    number = attribute(uapi.CTA_PROTO_NUM, bytes((protocol,)))
    return nested(kind, nested(uapi.CTA_TUPLE_IP, *addresses), nested(uapi.CTA_TUPLE_PROTO, number, *ports))


def _copied(entry: Entry, kinds: tuple[int, ...]) -> bytes:
    return b"".join(attribute(kind, entry.attributes[kind]) for kind in kinds if kind in entry.attributes)
