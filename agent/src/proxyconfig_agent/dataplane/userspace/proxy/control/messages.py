"""What the agent and the proxy process say to each other: MessagePack behind a length, over a stream socket."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec

from proxyconfig_agent.ingest.model import Family, Protocol

T = TypeVar("T", bound=msgspec.Struct)

_LENGTH = struct.Struct(">I")


class Route(msgspec.Struct, frozen=True, array_like=True):
    """One Service port in one family: where clients send to, and the endpoints they may reach."""

    key: str
    """Its identity; opaque to the process."""
    family: Family
    protocol: Protocol
    destinations: tuple[bytes, ...]
    """Packed: address, then port (2 bytes, big-endian)."""
    node_port: int
    """0: none."""
    cluster: bytes
    """Endpoints, packed one behind the other as in `select.frontends.Backends`; so are the next two."""
    local: bytes
    serving: bytes
    """UDP: endpoints that a flow may stay with."""
    affinity_s: int
    """ClientIP affinity; 0: none."""


class Listener(msgspec.Struct, frozen=True, array_like=True):
    """A socket that the process inherits. What arrives there goes to the local list of its Service port, or to the cluster list."""

    descriptor: int
    family: Family
    protocol: Protocol
    local: bool


class Update(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change of the process's table, answered by `Done` with the same serial once it is in effect."""

    serial: int
    listeners: tuple[Listener, ...] = ()
    """Serve on these from now on, besides those of before."""
    put: tuple[Route, ...] = ()
    drop: tuple[str, ...] = ()
    """Keys of routes."""
    udp_idle_s: float | None = None
    """None: as before; so is the next one."""
    mark: int | None = None
    """SO_MARK of connections to endpoints; 0: none."""


class Done(msgspec.Struct, frozen=True):
    serial: int


def encoded(message: msgspec.Struct) -> bytes:
    octets = msgspec.msgpack.encode(message)
    return _LENGTH.pack(len(octets)) + octets


class Incoming(Generic[T]):
    """Messages of one type out of the pieces of a stream."""

    def __init__(self, kind: type[T]) -> None:
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._buffer = bytearray()

    def fed(self, octets: bytes) -> Iterator[T]:
        """The messages that are complete with these octets. Raises msgspec.DecodeError."""
        self._buffer += octets
        while len(self._buffer) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                return
            message = self._decoder.decode(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield message
