"""One connection to a server: octets in, octets out, over TLS or not. Knows no HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections import deque

BLOCK = 1 << 16
HELD = 1 << 20
"""Octets that were not consumed yet; above it reading pauses, and TCP makes the server wait."""
CLOSE_NOTIFY_S = 0.5
"""For TLS's close_notify."""
_SECOND_FAMILY_AFTER_S = 0.25

_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000),
)
"""A watch may be silent for a minute; a peer that is gone is noticed after 30 s."""


class Stream(asyncio.BufferedProtocol):
    """Opened by `connect`. asyncio reads into the buffer until it is full, so TLS's many small records become few blocks."""

    def __init__(self) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.tls: ssl.SSLContext | None = None
        """What the connection was made with."""
        self._since = time.monotonic()
        self._buffer = memoryview(bytearray(BLOCK))
        self._transport: asyncio.Transport | None = None
        self._blocks: deque[bytes] = deque()
        self._held = 0
        self._paused = False
        self._ended = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def age_s(self) -> float:
        return time.monotonic() - self._since

    @property
    def is_idle(self) -> bool:
        """Whether it is open and nothing has come in unasked."""
        return not (self._ended or self._blocks)

    def send(self, octets: bytes) -> None:
        """Send what the kernel takes now; asyncio buffers and sends the rest."""
        if self._transport is not None:
            self._transport.write(octets)

    async def receive(self) -> bytes:
        """The next octets, as many as there are; empty at the end. Raises OSError when the connection broke."""
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

    def close(self, *, gracefully: bool = False) -> None:
        """Abort the connection; gracefully: send what is buffered, and close_notify, first."""
        if self._transport is not None and not self.closed.done():
            (self._transport.close if gracefully else self._transport.abort)()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio's contract, for mypy
        self._transport = transport
        if (secured := transport.get_extra_info("ssl_object")) is not None:
            self.tls = secured.context
        made = transport.get_extra_info("socket")
        for level, option, value in _KEEPALIVE:
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


async def connect(host: str, port: int, tls: ssl.SSLContext | None, within_s: float) -> Stream:
    """A new connection. Raises OSError (ssl.SSLError is one) and TimeoutError."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(within_s):
            _, stream = await loop.create_connection(
                Stream,
                host,
                port,
                ssl=tls,
                server_hostname=host if tls else None,
                ssl_shutdown_timeout=CLOSE_NOTIFY_S if tls else None,
                happy_eyeballs_delay=_SECOND_FAMILY_AFTER_S,
            )
    except TimeoutError:
        raise TimeoutError(f"no connection to {host} port {port} within {within_s:g} s") from None
    return stream


async def all_closed(streams: list[Stream]) -> None:
    """Wait until these are closed, twice CLOSE_NOTIFY_S at most."""
    if left := [stream.closed for stream in streams if not stream.closed.done()]:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait(left, timeout=2 * CLOSE_NOTIFY_S)
