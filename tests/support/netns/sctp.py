"""SCTP through raw sockets: INIT, INIT-ACK and ABORT packets with correct checksums, for kernels that have no SCTP sockets.

Standard library only: `echo.py` and `probe.py` run with it inside pods too.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

PROTOCOL = 132
INIT, INIT_ACK, ABORT = 1, 2, 6
_COOKIE = 7
_HEADER = struct.Struct(">HHII")
_CHUNK = struct.Struct(">BBHIIHHI")


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_TABLE = _crc_table()


def crc32c(octets: bytes) -> int:
    """The checksum of RFC 9260, appendix A."""
    crc = 0xFFFFFFFF
    for octet in octets:
        crc = crc >> 8 ^ _TABLE[(crc ^ octet) & 0xFF]
    return crc ^ 0xFFFFFFFF


@dataclass(frozen=True)
class Packet:
    """One chunk in its packet; an ABORT is as long as an INIT, too. `words` travel in the state cookie of an INIT-ACK."""

    source_port: int
    port: int
    kind: int
    verification_tag: int
    initiate_tag: int
    words: bytes = b""

    def encode(self) -> bytes:
        padding = b"\0" * (-len(self.words) % 4)
        cookie = struct.pack(">HH", _COOKIE, 4 + len(self.words)) + self.words + padding if self.words else b""
        chunk = _CHUNK.pack(self.kind, 0, _CHUNK.size + len(cookie), self.initiate_tag, 65536, 5, 5, 1) + cookie
        bare = _HEADER.pack(self.source_port, self.port, self.verification_tag, 0)
        crc = crc32c(bare + chunk)
        return bare[:8] + struct.pack("<I", crc) + chunk


def decode(datagram: bytes, family: int) -> Packet | None:
    """The packet in what a raw socket received; None if it is none of ours, or its checksum is wrong."""
    octets = datagram[(datagram[0] & 15) * 4 :] if family == socket.AF_INET else datagram
    if len(octets) < _HEADER.size + _CHUNK.size:
        return None
    (received,) = struct.unpack("<I", octets[8:12])
    if crc32c(octets[:8] + b"\0\0\0\0" + octets[12:]) != received:
        return None
    source_port, port, tag, _ = _HEADER.unpack_from(octets)
    kind, _, length, initiate_tag, _, _, _, _ = _CHUNK.unpack_from(octets, _HEADER.size)
    if kind not in (INIT, INIT_ACK, ABORT):
        return None
    parameters = octets[_HEADER.size + _CHUNK.size : _HEADER.size + length]
    return Packet(source_port, port, kind, tag, initiate_tag, _cookie_of(parameters))


def _cookie_of(parameters: bytes) -> bytes:
    if len(parameters) < 4:
        return b""
    kind, length = struct.unpack_from(">HH", parameters)
    return parameters[4:length] if kind == _COOKIE else b""
