"""One health check node port on one address: a listening socket, its connections, and the requests that come on them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import structlog

from proxyconfig_agent.ingest.model import Address, ServiceName, text_of

IDLE_S = 300.0
"""A connection without a request for so long is closed."""
CONNECTIONS = 64
"""Of one port and address; more at once are closed."""
LONGEST_HEAD = 8192

_log = structlog.get_logger("health ports")

Place = tuple[ServiceName, Address, int]
"""One listening socket: whose, where."""

Answerer = Callable[[Place, bytes], tuple[bytes, bool]]
"""The answer to a request (its head) at a place, and whether the connection stays open."""


class Listener:
    """Opens as it is made by `opened`."""

    def __init__(self, place: Place, answer: Answerer) -> None:
        self.place, self.answer = place, answer
        self.connections: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None

    @classmethod
    async def opened(cls, place: Place, answer: Answerer) -> Listener:
        """Raises OSError."""
        made = cls(place, answer)
        sock = _bound(place)
        try:
            made._server = await asyncio.get_running_loop().create_server(lambda: _Conversation(made), sock=sock)
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


def _bound(place: Place) -> socket.socket:
    _, address, port = place
    sock = socket.socket(socket.AF_INET if len(address) == 4 else socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((text_of(address), port))
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


class _Conversation(asyncio.Protocol):
    """One connection: requests, answers, and an end."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._received = b""
        self._transport: asyncio.Transport | None = None
        self._idle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport) or len(self._listener.connections) >= CONNECTIONS:
            transport.close()
            return
        self._transport = transport
        self._listener.connections.add(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        if self._transport is None:
            return
        self._received += data
        while b"\r\n\r\n" in self._received and not self._transport.is_closing():
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            octets, stays_open = self._listener.answer(self._listener.place, head)
            self._transport.write(octets)
            if not stays_open:
                self._transport.close()
        if len(self._received) > LONGEST_HEAD:
            self._transport.abort()
        self._wait()

    def connection_lost(self, _error: Exception | None) -> None:
        if self._idle is not None:
            self._idle.cancel()
        if self._transport is not None:
            self._listener.connections.discard(self._transport)

    def _wait(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        if self._transport is not None and not self._transport.is_closing():
            self._idle = asyncio.get_running_loop().call_later(IDLE_S, self._transport.abort)
