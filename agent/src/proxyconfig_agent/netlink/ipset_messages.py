"""Sets of ip_set and their entries as values, and the attributes of messages about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.frames import attribute, attributes, be32, nested, text, text_of

_IN_NETWORK_ORDER = uapi.NLA_F_NET_BYTEORDER
_REVISION = 1
"""Of the types hash:ip, hash:ip,port and hash:ip,port,ip: the first that knows SCTP. Kernels keep the older ones."""


class Header(NamedTuple):
    """What a set is, without its name."""

    kind: str
    """`hash:ip`, `hash:ip,port`, …"""
    family: int
    """AF_INET or AF_INET6."""
    limit: int
    """The number of entries that it can have at most. The kernel keeps no memory for them."""


class Entry(NamedTuple):
    """What the type of the set has of this."""

    address: bytes
    protocol: int = 0
    port: int = 0
    source: bytes = b""
    source_bits: int = 0
    """Of a network, its length; 0: `source` is an address."""


def created(header: Header) -> bytes:
    """The attributes of a new set, behind its name."""
    parts = text(uapi.IPSET_ATTR_TYPENAME, header.kind) + attribute(uapi.IPSET_ATTR_REVISION, bytes((_REVISION,)))
    parts += attribute(uapi.IPSET_ATTR_FAMILY, bytes((header.family,)))
    return parts + nested(uapi.IPSET_ATTR_DATA, be32(uapi.IPSET_ATTR_MAXELEM | _IN_NETWORK_ORDER, header.limit))


def entries(some: Iterable[Entry]) -> bytes:
    """The attributes of several entries, to be added or deleted."""
    return nested(uapi.IPSET_ATTR_ADT, *(nested(uapi.IPSET_ATTR_DATA, _of(entry)) for entry in some)) + be32(uapi.IPSET_ATTR_LINENO, 0)


def header_of(listed: dict[int, bytes]) -> Header | None:
    """Of the first message that lists a set; None of the others."""
    if uapi.IPSET_ATTR_TYPENAME not in listed:
        return None
    data = dict(attributes(listed.get(uapi.IPSET_ATTR_DATA, b"")))
    limit = int.from_bytes(data.get(uapi.IPSET_ATTR_MAXELEM, b""))
    return Header(text_of(listed[uapi.IPSET_ATTR_TYPENAME]), listed[uapi.IPSET_ATTR_FAMILY][0], limit)


def entries_of(listed: dict[int, bytes]) -> Iterator[Entry]:
    """Those of any message that lists a set."""
    for _, packed in attributes(listed.get(uapi.IPSET_ATTR_ADT, b"")):
        found = dict(attributes(packed))
        protocol, port = found.get(uapi.IPSET_ATTR_PROTO, b""), found.get(uapi.IPSET_ATTR_PORT, b"")
        address, source = (_address(found.get(kind, b"")) for kind in (uapi.IPSET_ATTR_IP, uapi.IPSET_ATTR_IP2))
        bits = int.from_bytes(found.get(uapi.IPSET_ATTR_CIDR2, b""))
        yield Entry(address, int.from_bytes(protocol), int.from_bytes(port), source, bits)


def _of(entry: Entry) -> bytes:
    packed = _packed(uapi.IPSET_ATTR_IP, entry.address)
    if entry.protocol:
        packed += attribute(uapi.IPSET_ATTR_PORT | _IN_NETWORK_ORDER, entry.port.to_bytes(2))
        packed += attribute(uapi.IPSET_ATTR_PROTO, bytes((entry.protocol,)))
    return packed + (_packed(uapi.IPSET_ATTR_IP2, entry.source) if entry.source else b"")


def _packed(kind: int, address: bytes) -> bytes:
    inner = uapi.IPSET_ATTR_IPADDR_IPV4 if len(address) == 4 else uapi.IPSET_ATTR_IPADDR_IPV6
    return nested(kind, attribute(inner | _IN_NETWORK_ORDER, address))


def _address(value: bytes) -> bytes:
    return next((address for _, address in attributes(value)), b"")
