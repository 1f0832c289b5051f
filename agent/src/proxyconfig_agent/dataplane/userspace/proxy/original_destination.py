"""Where a client sent to, before a rule translated it: the kernel's conntrack knows.

Of TCP the socket has it. Of UDP one socket has all clients, so conntrack is asked by the reply's tuple, which is unique: where two flows
of a client would have the same, the kernel translates the source port of one.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink import frames, nfnetlink, uapi
from proxyconfig_agent.netlink.frames import attribute, nested

_SO_ORIGINAL_DST = 80
_LEVEL = {Family.IPV4: socket.IPPROTO_IP, Family.IPV6: socket.IPPROTO_IPV6}
_SOCKADDR_SIZE = {Family.IPV4: 16, Family.IPV6: 28}
_ADDRESS_AT = {Family.IPV4: 4, Family.IPV6: 8}
_PORT_AT = slice(2, 4)
_SOURCE = {Family.IPV4: uapi.CTA_IP_V4_SRC, Family.IPV6: uapi.CTA_IP_V6_SRC}
_DESTINATION = {Family.IPV4: uapi.CTA_IP_V4_DST, Family.IPV6: uapi.CTA_IP_V6_DST}
_GET = uapi.NFNL_SUBSYS_CTNETLINK << 8 | uapi.IPCTNL_MSG_CT_GET
_DELETE = uapi.NFNL_SUBSYS_CTNETLINK << 8 | uapi.IPCTNL_MSG_CT_DELETE
_NUMBER = struct.Struct("B")
_BUFFER = 1 << 16


def of_connection(accepted: socket.socket, family: Family) -> bytes:
    """Address and port, packed. Raises OSError if conntrack does not know the connection."""
    sockaddr = accepted.getsockopt(_LEVEL[family], _SO_ORIGINAL_DST, _SOCKADDR_SIZE[family])
    at = _ADDRESS_AT[family]
    return sockaddr[at : at + family.size] + sockaddr[_PORT_AT]


class UdpFlows:
    """Asks conntrack over one netlink socket."""

    def __init__(self) -> None:
        self._netlink = nfnetlink.connect()

    def close(self) -> None:
        self._netlink.close()

    def original_destination(self, family: Family, local: bytes, client: bytes) -> bytes:
        """Of the flow of which `client` (packed) reached `local`. Raises OSError, ENOENT if there is no such flow."""
        found = b""
        for answer in self._answers(_GET, family, local, client):
            found = nfnetlink.attributes(answer)[uapi.CTA_TUPLE_ORIG]
        original = dict(frames.attributes(found))
        address = dict(frames.attributes(original[uapi.CTA_TUPLE_IP]))[_DESTINATION[family]]
        return address + dict(frames.attributes(original[uapi.CTA_TUPLE_PROTO]))[uapi.CTA_PROTO_DST_PORT]

    def delete(self, family: Family, local: bytes, client: bytes) -> None:
        """The flow: its next datagram is translated as rules are then. Raises OSError, ENOENT if there is no such flow."""
        for _ in self._answers(_DELETE, family, local, client):
            pass

    def _answers(self, kind: int, family: Family, local: bytes, client: bytes) -> Iterator[bytes]:
        """Until the acknowledgement."""
        header = nfnetlink.header(socket.AF_INET if family is Family.IPV4 else socket.AF_INET6)
        self._netlink.send(frames.message(kind, uapi.NLM_F_REQUEST | uapi.NLM_F_ACK, header + _reply(family, local, client)))
        while True:
            for answer, _, payload, _ in frames.messages(self._netlink.recv(_BUFFER)):
                if frames.is_end(answer, payload):
                    return
                yield payload


def _reply(family: Family, local: bytes, client: bytes) -> bytes:
    addresses = nested(uapi.CTA_TUPLE_IP, attribute(_SOURCE[family], local[:-2]), attribute(_DESTINATION[family], client[:-2]))
    ports = attribute(uapi.CTA_PROTO_SRC_PORT, local[-2:]) + attribute(uapi.CTA_PROTO_DST_PORT, client[-2:])
    protocol = nested(uapi.CTA_TUPLE_PROTO, attribute(uapi.CTA_PROTO_NUM, _NUMBER.pack(socket.IPPROTO_UDP)), ports)
    return nested(uapi.CTA_TUPLE_REPLY, addresses, protocol)
