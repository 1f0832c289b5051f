"""Accepts TCP connections that rules brought here, and has each connected to an endpoint of its Service port."""

from __future__ import annotations

import select
import socket
from functools import partial

from msgspec import Struct

from proxyconfig_agent.dataplane.userspace.proxy import original_destination
from proxyconfig_agent.dataplane.userspace.proxy.event_loop import EventLoop
from proxyconfig_agent.dataplane.userspace.proxy.limits import Slots
from proxyconfig_agent.dataplane.userspace.proxy.routes.failures import Failures
from proxyconfig_agent.dataplane.userspace.proxy.routes.routes import Routes, ServicePort
from proxyconfig_agent.dataplane.userspace.proxy.sockets import Outgoing
from proxyconfig_agent.dataplane.userspace.proxy.tcp import connection
from proxyconfig_agent.dataplane.userspace.proxy.tcp.connection import Connection
from proxyconfig_agent.dataplane.userspace.proxy.tcp.dial import Dial
from proxyconfig_agent.dataplane.userspace.proxy.tcp.pipes import Pipes
from proxyconfig_agent.ingest.model import Family, Protocol

TURN = 32
"""Connections accepted until others have their turn."""
PAUSE_S = 0.1
"""Between looks for a free slot, when there is none. New connections wait in the kernel meanwhile."""


class Tcp(Struct, frozen=True):
    """What all listening sockets share."""

    loop: EventLoop
    routes: Routes
    failures: Failures
    pipes: Pipes
    slots: Slots
    outgoing: Outgoing


class Acceptor:
    """One listening socket."""

    def __init__(self, tcp: Tcp, listening: socket.socket, family: Family, *, local: bool) -> None:
        self._tcp, self._listening, self._family, self._local = tcp, listening, family, local
        self._closed = False

    def begin(self) -> None:
        if self._closed:
            return
        self._tcp.loop.register(self._listening.fileno(), select.EPOLLIN, self._on_events)

    def close(self) -> None:
        """Take no more connections; those that there are go on."""
        self._closed = True
        self._tcp.loop.unregister(self._listening.fileno())
        self._listening.close()

    def _on_events(self, _: int) -> None:
        for _ in range(TURN):
            if not self._tcp.slots.take():
                self._pause()
                return
            try:
                client, (host, *_) = self._listening.accept()
            except BlockingIOError:
                self._tcp.slots.give_back()
                return
            except OSError:  # the client is gone again; or the process, or the node, is at its limit of descriptors
                self._tcp.slots.give_back()
                self._pause()
                return
            self._connect(client, host)

    def _pause(self) -> None:
        self._tcp.loop.unregister(self._listening.fileno())
        self._tcp.loop.call_later(PAUSE_S, self.begin)

    def _connect(self, client: socket.socket, host: str) -> None:
        try:
            connection.prepare(client)
            destination = original_destination.of_connection(client, self._family)
        except OSError:
            self._refused(client)
            return
        port = self._tcp.routes.find(self._family, Protocol.TCP, destination)
        if port is None:
            self._refused(client)
            return
        self._dial(client, host, port)

    def _dial(self, client: socket.socket, host: str, port: ServicePort) -> None:
        def connected(made: socket.socket, _: bytes) -> None:
            Connection(self._tcp.loop, client, made, self._tcp.pipes, self._tcp.slots.give_back).begin()

        failed = partial(self._refused, client)
        tcp = self._tcp
        Dial(tcp.loop, port, host, tcp.failures, tcp.outgoing, local=self._local, connected=connected, failed=failed).begin()

    def _refused(self, client: socket.socket) -> None:
        connection.refuse(client)
        self._tcp.slots.give_back()
