"""The servers on health check node ports: which listen where, by what the cluster wants, and what becomes of those that cannot.

They run in the agent's own event loop: a node without such Services has nothing of it, and a loop that hangs shall fail its checks.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

import structlog

from proxyconfig_agent.ingest.values import Address, Family, ServiceName, family_of, text_of
from proxyconfig_agent.report.healthanswers import reply
from proxyconfig_agent.select.healthchecks import HealthCheck

RETRY_S = 5.0
IDLE_S = 300.0
"""A connection without a request for so long is closed."""
CONNECTIONS = 64
"""Of one port and address; more at once are closed."""
LONGEST_HEAD = 8192

_ANY = {Family.IPV4: Address(bytes(4)), Family.IPV6: Address(bytes(16))}

_log = structlog.get_logger("health ports")

Place = tuple[ServiceName, Address, int]
"""One listening socket: whose, where."""


@dataclass(frozen=True, slots=True)
class Unopened:
    """A health check node port that could not be opened, and the kernel's words."""

    service: ServiceName
    address: Address
    port: int
    reason: str
    taken: bool

    def __str__(self) -> str:
        return f"spec.healthCheckNodePort {self.port} of Service {self.service} on {text_of(self.address)}: {self.reason}"


class HealthPorts:
    """Call `want` whenever something may have changed; `run` opens and closes. `healthy` tells whether this node's rules can be relied on;
    `tell` is given all that could not be opened, whenever that changes."""

    def __init__(
        self, healthy: Callable[[], bool], tell: Callable[[Sequence[Unopened]], None], clock: Callable[[], float] = time.time
    ) -> None:
        self._healthy, self._tell, self._clock = healthy, tell, clock
        self._checks: dict[tuple[ServiceName, Family], HealthCheck] = {}
        self._addresses: Sequence[Address] | None = ()
        self._open: dict[Place, _Listener] = {}
        self._unopened: dict[Place, Unopened] = {}
        self._changed = asyncio.Event()

    def want(self, checks: Iterable[HealthCheck], addresses: Sequence[Address] | None) -> None:
        """Answer these, on these addresses of the node (None: on all). Counts are in effect at once, sockets a moment later."""
        wanted = {(check.service, check.family): check for check in checks}
        if (wanted, addresses) != (self._checks, self._addresses):
            self._checks, self._addresses = wanted, addresses
            self._changed.set()

    async def run(self) -> NoReturn:
        """Open and close until cancelled; then nothing is open."""
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), RETRY_S if self._unopened else None)
                self._changed.clear()
                await self._steer()
        finally:
            for listener in self._open.values():
                listener.close()
            self._open.clear()

    def answer(self, place: Place, head: bytes) -> tuple[bytes, bool]:
        """The answer to a request at `place`, and whether the connection stays open."""
        service, address, port = place
        check = self._checks.get((service, family_of(address))) or HealthCheck(service, family_of(address), port)
        answered = reply(head, check, healthy=self._healthy(), now_s=self._clock())
        return answered.octets, answered.stays_open

    async def _steer(self) -> None:
        wanted = set(self._places())
        for place in self._open.keys() - wanted:
            self._open.pop(place).close()
        unopened: dict[Place, Unopened] = {}
        for place in sorted(wanted - self._open.keys()):
            try:
                self._open[place] = await _Listener.opened(place, self.answer)
            except OSError as error:
                if error.errno != errno.EAFNOSUPPORT:  # a kernel without IPv6
                    unopened[place] = Unopened(*place, error.strerror or str(error), taken=error.errno == errno.EADDRINUSE)
        if unopened != self._unopened:
            self._unopened = unopened
            self._tell(tuple(unopened.values()))

    def _places(self) -> Iterator[Place]:
        for (service, family), check in self._checks.items():
            addresses = (_ANY[family],) if self._addresses is None else self._addresses
            yield from ((service, address, check.port) for address in addresses if family_of(address) is family)


Answerer = Callable[[Place, bytes], tuple[bytes, bool]]


class _Listener:
    """A listening socket and its connections."""

    def __init__(self, place: Place, answer: Answerer) -> None:
        self.place, self.answer = place, answer
        self.connections: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None

    @classmethod
    async def opened(cls, place: Place, answer: Answerer) -> _Listener:
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

    def __init__(self, listener: _Listener) -> None:
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
