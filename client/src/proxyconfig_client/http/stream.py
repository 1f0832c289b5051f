"""One connection to a server: octets in, octets out, over TLS or not. Knows no HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import deque

BLOCK = 1 << 16
HELD = 1 << 20
"""What nobody has read yet; while it is more, the server has to wait."""
GOODBYE_S = 0.5
"""How long TLS may take to say goodbye."""
_SECOND_FAMILY_AFTER_S = 0.25

_LIVELY = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000),
)
"""A watch may be silent for minutes; that its peer is gone is noticed within half of one."""


class Stream(asyncio.BufferedProtocol):
    """Opened by `connected`. asyncio reads into the buffer until it is full, so TLS's many small records become few blocks."""

    def __init__(self) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._buffer = memoryview(bytearray(BLOCK))
        self._transport: asyncio.Transport | None = None
        self._blocks: deque[bytes] = deque()
        self._held = 0
        self._paused = False
        self._ended = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Open, and nothing has come that nobody asked for."""
        return not (self._ended or self._blocks)

    def send(self, octets: bytes) -> None:
        """Send what the kernel takes now; asyncio holds the rest and sends it meanwhile."""
        if self._transport is not None:
            self._transport.write(octets)

    async def receive(self) -> bytes:
        """The next octets, as many as there are; none at the end. Raises OSError if it broke."""
        while not self._blocks:
            if self._error is not None:
                raise self._error
            if self._ended:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        block = self._blocks.popleft()
        self._held -= len(block)
        if self._paused and self._held < HELD and self._transport is not None and not self._ended:
            self._paused = False
            self._transport.resume_reading()
        return block

    def close(self, *, politely: bool = False) -> None:
        """Close it; at once, unless politely."""
        if self._transport is not None and not self.closed.done():
            (self._transport.close if politely else self._transport.abort)()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a promise of asyncio's, for mypy
        self._transport = transport
        made = transport.get_extra_info("socket")
        for level, option, value in _LIVELY:
            made.setsockopt(level, option, value)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._blocks.append(bytes(self._buffer[:nbytes]))
        self._held += nbytes
        if self._held >= HELD and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self._ended = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended, self._error = True, exc
        self._wake()
        if not self.closed.done():
            self.closed.set_result(None)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def connected(host: str, port: int, tls: ssl.SSLContext | None, name: str | None, within_s: float) -> Stream:
    """A new connection; `name` is whom the server's certificate must be for. Raises OSError (ssl.SSLError is one) and TimeoutError."""
    name, goodbye_s = (name or host, GOODBYE_S) if tls else (None, None)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(within_s):
            _, wire = await loop.create_connection(
                Stream,
                host,
                port,
                ssl=tls,
                server_hostname=name,
                ssl_shutdown_timeout=goodbye_s,
                happy_eyeballs_delay=_SECOND_FAMILY_AFTER_S,
            )
    except TimeoutError:
        raise TimeoutError(f"no connection to {host} port {port} within {within_s:g} s") from None
    return wire


async def all_closed(wires: list[Stream]) -> None:
    """Wait a short while until these are closed."""
    if left := [wire.closed for wire in wires if not wire.closed.done()]:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait(left, timeout=2 * GOODBYE_S)
