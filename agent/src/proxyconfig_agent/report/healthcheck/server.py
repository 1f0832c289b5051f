"""One health check node port on one address: a listening socket and its connections.

The port is open to the whole network, so everything a client can make us hold is bounded: the connections of a port, the octets of
an unanswered request, the octets of an unread response, and the time that each of them may take.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import cast

import structlog

from proxyconfig_agent.ingest.model import Address, ServiceName, text_of

IDLE_S = 300.0
"""A connection without a request for so long is closed; load balancers check every few seconds, at most every five minutes."""
REQUEST_S = 30.0
"""A request has to be complete so long after the connection was opened, or after its first octets; and its response read."""
CONNECTIONS = 64
"""Of one port and address. One more closes the one that has gone longest without a request, so that silent clients shut no other out."""
LONGEST_HEAD = 8192
BUFFERED = 1 << 16
"""Octets that the kernel may hold per connection and direction."""

_END = b"\r\n\r\n"

_log = structlog.get_logger("health check ports")

Place = tuple[ServiceName, Address, int]
"""One listening socket: whose, where."""

Answerer = Callable[[Place, bytes], tuple[bytes, bool]]
"""The response to a request (its head, with the empty line) at a place, and whether the connection stays open."""


class Listener:
    """Opens as it is made by `opened`."""

    def __init__(self, place: Place, answer: Answerer) -> None:
        self.place, self.answer = place, answer
        self.connections: dict[HealthCheckConnection, None] = {}  # ordered: the one that has gone longest without a request first
        self._server: asyncio.Server | None = None

    @classmethod
    async def opened(cls, place: Place, answer: Answerer) -> Listener:
        """Raises OSError."""
        made = cls(place, answer)
        sock = _bound(place)
        try:
            made._server = await asyncio.get_running_loop().create_server(lambda: HealthCheckConnection(made), sock=sock)
        except BaseException:
            sock.close()
            raise
        _log.info("listening", service=str(place[0]), address=text_of(place[1]), port=place[2])
        return made

    def close(self) -> None:
        """The port and all connections, as kube-proxy does."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self.connections):
            connection.abort()
        _log.info("closed", service=str(self.place[0]), address=text_of(self.place[1]), port=self.place[2])

    def active(self, connection: HealthCheckConnection) -> None:
        """The connection is new, or has had a request."""
        self.connections.pop(connection, None)
        self.connections[connection] = None
        if len(self.connections) > CONNECTIONS:
            next(iter(self.connections)).abort()


def _bound(place: Place) -> socket.socket:
    _, address, port = place
    sock = socket.socket(socket.AF_INET if len(address) == 4 else socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):  # connections inherit them
            sock.setsockopt(socket.SOL_SOCKET, option, BUFFERED)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((text_of(address), port))
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


class HealthCheckConnection(asyncio.BufferedProtocol):
    """Answers one request at a time, and reads no more while one is unanswered or a response unread."""

    def __init__(self, listener: Listener) -> None:
        self._listener, self._loop = listener, asyncio.get_running_loop()
        self._buffer, self._filled = bytearray(LONGEST_HEAD), 0
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._writable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=0)
        self._within(REQUEST_S)
        self._listener.active(self)

    def get_buffer(self, _sizehint: int) -> memoryview:
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        if not self._filled:
            self._within(REQUEST_S)
        self._filled += nbytes
        self._proceed()

    def pause_writing(self) -> None:
        self._writable = False
        self._within(REQUEST_S)

    def resume_writing(self) -> None:
        self._writable = True
        self._within(REQUEST_S if self._filled else IDLE_S)
        self._proceed()

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self._listener.connections.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()

    def abort(self) -> None:
        """Close at once; what is unsent is lost."""
        self._listener.connections.pop(self, None)
        if self._transport is not None:
            self._transport.abort()

    def _proceed(self) -> None:
        """Answer the first complete request. The next one has to wait for its turn: other connections are served in between."""
        if self._transport is None or self._transport.is_closing():
            return
        end = self._buffer.find(_END, 0, self._filled)
        if end >= 0 and self._writable:
            self._respond(self._transport, end + len(_END))
        elif self._filled == LONGEST_HEAD and end < 0:
            self.abort()
        elif end < 0:
            self._transport.resume_reading()

    def _respond(self, transport: asyncio.Transport, length: int) -> None:
        head = bytes(self._buffer[:length])
        self._filled -= length
        self._buffer[: self._filled] = self._buffer[length : length + self._filled]
        transport.pause_reading()
        self._within(REQUEST_S if self._filled else IDLE_S)
        self._listener.active(self)
        octets, keep_alive = self._listener.answer(self._listener.place, head)
        transport.write(octets)
        if not keep_alive:
            transport.close()
        elif self._writable:
            self._loop.call_soon(self._proceed)

    def _within(self, seconds: float) -> None:
        """Abort in so many seconds, unless what is waited for comes before."""
        if self._deadline is not None:
            self._deadline.cancel()
        if self._transport is not None:
            self._deadline = self._loop.call_later(seconds, self.abort)
