"""The kernel's UDP flows (connection tracking), read and deleted over netlink.

The kernel filters while it dumps (CTA_FILTER, Linux 5.8), so that a table of a million flows is not copied to find a few.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink import frames, nfnetlink, uapi
from proxyconfig_agent.netlink.conntrack import exchange
from proxyconfig_agent.netlink.conntrack.requests import Kind, Request
from proxyconfig_agent.netlink.frames import attribute, nested
from proxyconfig_agent.node.conntrack.stale import Endpoint, Flow, Lookup

_NUMBERS = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}
_SOURCE = {Family.IPV4: uapi.CTA_IP_V4_SRC, Family.IPV6: uapi.CTA_IP_V6_SRC}
_DESTINATION = {Family.IPV4: uapi.CTA_IP_V4_DST, Family.IPV6: uapi.CTA_IP_V6_DST}
_BY_PORT = uapi.CTA_FILTER_F_CTA_PROTO_NUM | uapi.CTA_FILTER_F_CTA_PROTO_DST_PORT
_UDP = bytes([socket.IPPROTO_UDP])


def flows(family: Family, lookup: Lookup | None = None) -> Iterator[Flow]:
    """UDP flows, one by one: all, or those that `lookup` asks for. Raises OSError."""
    if lookup is None:
        return _dump(family, uapi.CTA_FILTER_F_CTA_PROTO_NUM, nested(uapi.CTA_TUPLE_PROTO, attribute(uapi.CTA_PROTO_NUM, _UDP)))
    protocol = nested(uapi.CTA_TUPLE_PROTO, attribute(uapi.CTA_PROTO_NUM, _UDP), attribute(uapi.CTA_PROTO_DST_PORT, lookup.port))
    if not lookup.address:
        return _dump(family, _BY_PORT, protocol)
    if family is Family.IPV4:
        ip = nested(uapi.CTA_TUPLE_IP, attribute(_DESTINATION[family], lookup.address))
        return _dump(family, uapi.CTA_FILTER_F_CTA_IP_DST | _BY_PORT, ip + protocol)
    # Up to Linux 6.18 at least, the filter by an IPv6 address passes every address but that one (ctnetlink_filter_match_tuple).
    wanted = lookup.address + lookup.port
    return (flow for flow in _dump(family, _BY_PORT, protocol) if flow.destination == wanted)


def delete(family: Family, gone: Sequence[Flow]) -> None:
    """Delete these; one that ended by itself meanwhile is no error. Raises OSError."""
    for refusal in exchange.commit(_NUMBERS[family], [Request(Kind.DELETE, _handle(flow.message)) for flow in gone]):
        if refusal.number != errno.ENOENT:
            raise OSError(refusal.number, os.strerror(refusal.number))


def _dump(family: Family, by: int, original: bytes) -> Iterator[Flow]:
    wanted = nested(uapi.CTA_FILTER, attribute(uapi.CTA_FILTER_ORIG_FLAGS, struct.pack("=I", by))) + nested(uapi.CTA_TUPLE_ORIG, original)
    return (parse(family, payload) for payload in exchange.dump(_NUMBERS[family], wanted))


class _Layout(NamedTuple):
    """Where the parts of a tuple are when the kernel writes it as all kernels did so far, and the headers that prove that."""

    source: slice
    destination: slice
    source_port: slice
    destination_port: slice
    length: int
    address_headers: bytes
    protocol_headers: bytes


def _layout(family: Family) -> _Layout:
    size = int(family.size)
    protocol = 12 + size + 4 + size
    example = nested(uapi.CTA_TUPLE_IP, attribute(_SOURCE[family], bytes(size)), attribute(_DESTINATION[family], bytes(size)))
    ports = attribute(uapi.CTA_PROTO_SRC_PORT, bytes(2)) + attribute(uapi.CTA_PROTO_DST_PORT, bytes(2))
    return _Layout(
        source=slice(12, 12 + size),
        destination=slice(16 + size, 16 + 2 * size),
        source_port=slice(protocol + 16, protocol + 18),
        destination_port=slice(protocol + 24, protocol + 26),
        length=protocol + 28,
        address_headers=example[:8],
        protocol_headers=nested(uapi.CTA_TUPLE_PROTO, attribute(uapi.CTA_PROTO_NUM, _UDP), ports)[:9],
    )


_LAYOUT = {family: _layout(family) for family in Family}


def parse(family: Family, payload: bytes) -> Flow:
    """A flow from a dump's message. A table has up to millions: the usual layout is read at fixed offsets, 15 times faster."""
    layout = _LAYOUT[family]
    original = payload[nfnetlink.HEADER_SIZE : nfnetlink.HEADER_SIZE + layout.length]
    reply = payload[nfnetlink.HEADER_SIZE + layout.length : nfnetlink.HEADER_SIZE + 2 * layout.length]
    if _usual(layout, original, uapi.CTA_TUPLE_ORIG) and _usual(layout, reply, uapi.CTA_TUPLE_REPLY):
        return Flow(
            original[layout.destination] + original[layout.destination_port], reply[layout.source] + reply[layout.source_port], payload
        )
    found = dict(frames.attributes(payload, nfnetlink.HEADER_SIZE))
    return Flow(
        destination=_end(found[uapi.CTA_TUPLE_ORIG], _DESTINATION[family], uapi.CTA_PROTO_DST_PORT),
        answers=_end(found[uapi.CTA_TUPLE_REPLY], _SOURCE[family], uapi.CTA_PROTO_SRC_PORT),
        message=payload,
    )


def _usual(layout: _Layout, flow_tuple: bytes, kind: int) -> bool:
    start = layout.destination.stop
    return (
        flow_tuple[2] == kind
        and flow_tuple[4:12] == layout.address_headers
        and flow_tuple[start : start + len(layout.protocol_headers)] == layout.protocol_headers
    )


def _handle(message: bytes) -> bytes:
    """What names a flow. With the id one of the same tuple that came up in the meantime is not taken for it."""
    found = dict(frames.attributes(message, nfnetlink.HEADER_SIZE))
    return nested(uapi.CTA_TUPLE_ORIG, found[uapi.CTA_TUPLE_ORIG]) + b"".join(
        attribute(kind, found[kind]) for kind in (uapi.CTA_ID, uapi.CTA_ZONE) if kind in found
    )


def _end(flow_tuple: bytes, address: int, port: int) -> Endpoint:
    parts = dict(frames.attributes(flow_tuple))
    return _find(parts[uapi.CTA_TUPLE_IP], address) + _find(parts[uapi.CTA_TUPLE_PROTO], port)


def _find(payload: bytes, wanted: int) -> bytes:
    return next(value for kind, value in frames.attributes(payload) if kind == wanted)
