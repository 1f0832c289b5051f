"""Sockets towards endpoints, and addresses between the packed form and Python's."""

from __future__ import annotations

import socket

from msgspec import Struct

from proxyconfig_agent.ingest.model import Family, Protocol

TAG = 0x80000000
"""SO_PRIORITY of what the process sends to endpoints: rules of nf_tables leave it alone, also if an endpoint has a Service's address."""
FAMILIES = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}
KINDS = {Protocol.TCP: socket.SOCK_STREAM, Protocol.UDP: socket.SOCK_DGRAM}


class Outgoing(Struct):
    """Makes sockets for connections to endpoints."""

    mark: int = 0
    """SO_MARK of what they send, for rules of iptables, which do not see priorities; 0: none."""

    def opened(self, family: Family, protocol: Protocol) -> socket.socket:
        """One that does not block. Raises OSError; both options take CAP_NET_ADMIN."""
        made = socket.socket(FAMILIES[family], KINDS[protocol] | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, TAG - (1 << 32))
            if self.mark:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, self.mark)
        except OSError:
            made.close()
            raise
        return made


def sockaddr_of(packed: bytes) -> tuple[str, int]:
    """Of an address and port in packed form."""
    kind = socket.AF_INET if len(packed) == 6 else socket.AF_INET6
    return socket.inet_ntop(kind, packed[:-2]), int.from_bytes(packed[-2:])


def packed_of(family: Family, host: str, port: int) -> bytes:
    return socket.inet_pton(FAMILIES[family], host.partition("%")[0]) + port.to_bytes(2)
