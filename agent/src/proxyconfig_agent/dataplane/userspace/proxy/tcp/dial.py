"""Connects a TCP client to an endpoint: one after the other until one takes the connection. Nothing of the client's is read before."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

from proxyconfig_agent.dataplane.userspace.proxy.event_loop import EventLoop, Timer
from proxyconfig_agent.dataplane.userspace.proxy.routes.failures import Failures
from proxyconfig_agent.dataplane.userspace.proxy.routes.routes import ServicePort
from proxyconfig_agent.dataplane.userspace.proxy.sockets import Outgoing, sockaddr_of
from proxyconfig_agent.dataplane.userspace.proxy.tcp import connection
from proxyconfig_agent.ingest.model import Protocol

FIRST_S = 0.25
"""An endpoint that neither takes nor refuses a connection is left for the next one after so long; each next one has twice the time."""
DEADLINE_S = 10.0
"""The last endpoint that there is has the rest of this time."""

Connected = Callable[[socket.socket, bytes], None]
"""Gets the socket, registered for `connection.EDGES`, and the endpoint."""


class Dial:
    """`failed` is called if every endpoint was tried in vain, or time is up."""

    def __init__(
        self,
        loop: EventLoop,
        port: ServicePort,
        client: str,
        failures: Failures,
        outgoing: Outgoing,
        *,
        local: bool,
        connected: Connected,
        failed: Callable[[], None],
    ) -> None:
        self._loop, self._port, self._client, self._failures, self._local = loop, port, client, failures, local
        self._outgoing, self._connected, self._failed = outgoing, connected, failed
        self._ends = loop.now() + DEADLINE_S
        self._tried: tuple[bytes, ...] = ()
        self._socket: socket.socket | None = None
        self._endpoint = b""
        self._timer: Timer | None = None

    def begin(self) -> None:
        """Try the next endpoint, and more while they refuse at once."""
        while True:
            endpoint = self._next()
            if endpoint is None:
                self._failed()
                return
            self._endpoint, self._tried = endpoint, (*self._tried, endpoint)
            number = self._attempt(endpoint)
            if number in (0, errno.EINPROGRESS):
                self._timer = self._loop.call_later(self._patience_s(), lambda: self._given_up(errno.ETIMEDOUT))
                return
            self._abandon(number)

    def _next(self) -> bytes | None:
        if self._loop.now() >= self._ends:
            return None
        return self._port.choose(self._client, self._failures, self._tried, local=self._local)

    def _attempt(self, endpoint: bytes) -> int:
        """Begin to connect; the error number."""
        try:
            self._socket = self._outgoing.opened(self._port.route.family, Protocol.TCP)
            connection.prepare(self._socket)
            number = self._socket.connect_ex(sockaddr_of(endpoint))
            self._loop.register(self._socket.fileno(), connection.EDGES, self._on_events)
        except OSError as error:
            return error.errno or errno.EIO
        return number

    def _patience_s(self) -> float:
        rotation = self._port.local if self._local else self._port.cluster
        rest_s = max(0.0, self._ends - self._loop.now())
        return rest_s if len(self._tried) >= len(rotation) else min(rest_s, FIRST_S * 2 ** (len(self._tried) - 1))

    def _on_events(self, _: int) -> None:
        if self._socket is None:
            return
        number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number == 0 and _is_connected(self._socket):
            made, self._socket = self._socket, None
            self._cancel_timer()
            self._failures.discard(self._endpoint)
            self._port.connected(self._client, self._endpoint)
            self._connected(made, self._endpoint)
        elif number:
            self._given_up(number)

    def _given_up(self, number: int) -> None:
        self._abandon(number)
        self.begin()

    def _abandon(self, number: int) -> None:
        """The attempt failed with this error number."""
        self._cancel_timer()
        self._failures.add(self._endpoint, number)
        if self._socket is not None:
            self._loop.unregister(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True
