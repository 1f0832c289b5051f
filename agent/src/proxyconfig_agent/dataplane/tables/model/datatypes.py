"""Keys and values of sets and maps, the way nft itself stores their types, so that `nft list ruleset` prints them as it prints its own."""

from __future__ import annotations

from proxyconfig_agent.dataplane.tables.model.ruleset import Container
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.nftables import userdata

Datatype = tuple[int, int]
"""nft's number of a type, and the length in octets."""

# nft's own numbers (datatype.h and proto.h of nftables): the kernel keeps them and knows no meaning.
INTEGER, PROTOCOL, PORT, PRIORITY = 4, 12, 13, 23
ADDRESS = {Family.IPV4: 7, Family.IPV6: 8}
_DESTINATION = {Family.IPV4: (12, 12), Family.IPV6: (13, 9)}
_SOURCE = {Family.IPV4: (12, 11), Family.IPV6: (13, 8)}
_TRANSPORT, _TRANSPORT_DESTINATION = 11, 2

L4PROTO = userdata.typeof_meta(uapi.NFT_META_L4PROTO)
DPORT = userdata.typeof_payload(_TRANSPORT, _TRANSPORT_DESTINATION)


def concatenation(*kinds: int) -> int:
    """nft's number for a concatenation: six bits per part."""
    number = 0
    for kind in kinds:
        number = number << 6 | kind
    return number


NODE_PORT: Datatype = (concatenation(PROTOCOL, PORT), 8)
NODE_PORT_TYPE = userdata.typeof_concatenation(L4PROTO, DPORT)


def address(family: Family) -> Datatype:
    return ADDRESS[family], family.size


def frontend(family: Family) -> Datatype:
    """Destination address, protocol, destination port."""
    return concatenation(ADDRESS[family], PROTOCOL, PORT), family.size + 8


def frontend_type(family: Family) -> bytes:
    return userdata.typeof_concatenation(destination_type(family), L4PROTO, DPORT)


def backend(family: Family) -> Datatype:
    """Address and port."""
    return concatenation(ADDRESS[family], PORT), family.size + 4


def backend_type(family: Family) -> bytes:
    return userdata.typeof_concatenation(destination_type(family), DPORT)


def destination_type(family: Family) -> bytes:
    return userdata.typeof_payload(*_DESTINATION[family])


def source_type(family: Family) -> bytes:
    return userdata.typeof_payload(*_SOURCE[family])


def set_of(key: Datatype, words: str, key_type: bytes = b"") -> Container:
    """`words` are its comment."""
    return Container(key, userdata=userdata.set_userdata(_order(key), key_type, None, b"", words))


def map_of(key: Datatype, key_type: bytes, value: Datatype, value_type: bytes, words: str) -> Container:
    octets = userdata.set_userdata(_order(key), key_type, _order(value), value_type, words)
    return Container(key, value, flags=uapi.NFT_SET_MAP, userdata=octets)


def _order(kind: Datatype) -> int:
    if kind[0] == PRIORITY:
        return userdata.HOST_ORDER
    return userdata.NETWORK_ORDER if kind[0] in ADDRESS.values() else userdata.MIXED_ORDER
