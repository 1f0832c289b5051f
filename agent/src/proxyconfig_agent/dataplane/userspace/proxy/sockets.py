"""Sockets towards endpoints, and addresses between the packed form and Python's."""

from __future__ import annotations

import socket

from proxyconfig_agent.ingest.model import Family, Protocol

TAG = 0x80000000
"""SO_PRIORITY of what the process sends to endpoints: rules leave it alone, also if an endpoint has a Service's address."""
FAMILIES = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}
KINDS = {Protocol.TCP: socket.SOCK_STREAM, Protocol.UDP: socket.SOCK_DGRAM}


def outgoing(family: Family, protocol: Protocol) -> socket.socket:
    """A socket that does not block, for a connection to an endpoint. Raises OSError; SO_PRIORITY takes CAP_NET_ADMIN."""
    made = socket.socket(FAMILIES[family], KINDS[protocol] | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, TAG - (1 << 32))
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
