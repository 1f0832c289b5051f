"""A TCP connection through the proxy: a client, an endpoint, and a relay in each direction. It ends when both have ended, or one fails."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from collections.abc import Callable

from proxyconfig_agent.dataplane.userspace.proxy.event_loop import EventLoop
from proxyconfig_agent.dataplane.userspace.proxy.tcp.pipes import Pipes
from proxyconfig_agent.dataplane.userspace.proxy.tcp.relay import Relay

EDGES = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
"""Of every socket of a connection: registered once, for as long as it lives."""
_CAN_READ = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_CAN_WRITE = select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR
_RESET = struct.pack("ii", 1, 0)
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 8))
"""A peer that vanished is noticed after three minutes: no conntrack timeout ends its connection for us."""


class Connection:
    """Takes over both sockets. `closed` is called once."""

    __slots__ = ("_client", "_closed", "_down", "_endpoint", "_loop", "_open", "_up")

    def __init__(self, loop: EventLoop, client: socket.socket, endpoint: socket.socket, pipes: Pipes, closed: Callable[[], None]) -> None:
        self._loop, self._client, self._endpoint, self._closed = loop, client, endpoint, closed
        self._up, self._down = Relay(client, endpoint, pipes), Relay(endpoint, client, pipes)
        self._open = True

    def begin(self) -> None:
        """The endpoint's socket is registered already."""
        try:
            self._loop.register(self._client.fileno(), EDGES, self._on_client)
        except OSError:
            self._close(reset=True)
            return
        self._loop.hand_over(self._endpoint.fileno(), self._on_endpoint)
        self._pump_up()
        self._pump_down()

    def _on_client(self, events: int) -> None:
        self._on_events(events, readable=self._up, writable=self._down)

    def _on_endpoint(self, events: int) -> None:
        self._on_events(events, readable=self._down, writable=self._up)

    def _on_events(self, events: int, *, readable: Relay, writable: Relay) -> None:
        if events & _CAN_READ:
            readable.readable = True
        if events & _CAN_WRITE:
            writable.writable = True
        self._pump_up()
        self._pump_down()

    def _pump_up(self) -> None:
        self._pump(self._up, self._pump_up)

    def _pump_down(self) -> None:
        self._pump(self._down, self._pump_down)

    def _pump(self, relay: Relay, again: Callable[[], None]) -> None:
        if not self._open:
            return
        try:
            more = relay.pump()
        except OSError:
            self._close(reset=True)
            return
        if more:
            self._loop.call_soon(again)
        elif self._up.done and self._down.done:
            self._close(reset=False)

    def _close(self, *, reset: bool) -> None:
        self._open = False
        for relay in (self._up, self._down):
            relay.close()
        for each in (self._client, self._endpoint):
            self._loop.unregister(each.fileno())
            (refuse if reset else socket.socket.close)(each)
        self._closed()


def prepare(sock: socket.socket) -> None:
    """Options of both sockets of a connection."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def refuse(sock: socket.socket) -> None:
    """Close a TCP connection with a reset: the peer learns that it failed."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()
