"""UDP flows: the datagrams of one client to one destination go to one endpoint through one socket, until they pause for long.

A datagram that an endpoint refuses before it has answered any is sent to the next one.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import struct
from collections.abc import Iterable

from msgspec import Struct

from proxyconfig_agent.dataplane.userspace.proxy import stale_flows
from proxyconfig_agent.dataplane.userspace.proxy.event_loop import EventLoop
from proxyconfig_agent.dataplane.userspace.proxy.flow import Client, Flow, IdleTime
from proxyconfig_agent.dataplane.userspace.proxy.limits import Slots
from proxyconfig_agent.dataplane.userspace.proxy.original_destination import UdpFlows
from proxyconfig_agent.dataplane.userspace.proxy.routes.failures import Failures
from proxyconfig_agent.dataplane.userspace.proxy.routes.routes import Routes, ServicePort
from proxyconfig_agent.dataplane.userspace.proxy.sockets import Outgoing, packed_of, sockaddr_of
from proxyconfig_agent.ingest.model import Family, Protocol

TURN = 64
"""Datagrams of one socket until others have their turn."""
CERTAIN_S = 10.0
"""After a pause of so long the client's port may be another flow's: conntrack forgets the first one after 30 s at the earliest."""
NEXT_S = 0.01
"""A client that is to be left, and asks again within so long of its answer, is left after its next one."""
_LARGEST = 1 << 16
_IP_PKTINFO = 8
_PKTINFO_V4 = struct.Struct("=i4s4s")  # interface, the address to answer from, the address in the datagram
_PKTINFO_V6 = struct.Struct("=16sI")
_OPTIONS = {
    Family.IPV4: (socket.IPPROTO_IP, _IP_PKTINFO, _IP_PKTINFO),
    Family.IPV6: (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, socket.IPV6_PKTINFO),
}
"""Level, the option that asks for it, the kind of message."""


class Udp(Struct, frozen=True):
    """What all sockets share that datagrams arrive at."""

    loop: EventLoop
    routes: Routes
    failures: Failures
    conntrack: UdpFlows
    slots: Slots
    idle: IdleTime
    outgoing: Outgoing


class UdpProxy:
    """One socket that clients' datagrams arrive at."""

    def __init__(self, udp: Udp, arriving: socket.socket, family: Family, *, local: bool) -> None:
        self._udp, self._arriving, self._family, self._local = udp, arriving, family, local
        self._number = int(arriving.getsockname()[1]).to_bytes(2)
        self._flows: dict[tuple[Client, bytes], Flow] = {}
        self._released = False

    def begin(self) -> None:
        level, option, _ = _OPTIONS[self._family]
        self._arriving.setsockopt(level, option, 1)
        self._udp.loop.register(self._arriving.fileno(), select.EPOLLIN, self._on_arrival)

    def release(self) -> None:
        """No rule leads here any more, and conntrack is not to, either. Flows whose client waits have until the answer, or `close`."""
        self._on_arrival(0)
        self._released = True
        for flow in [each for each in self._flows.values() if not each.is_waiting]:
            self._end(flow)
        self._delete(packed_of(self._family, *flow.client) for flow in self._flows.values())

    def close(self) -> None:
        """Take no more datagrams. Flows end when they are idle: answers still go out through this socket, so it stays open."""
        self._delete()
        self._udp.loop.unregister(self._arriving.fileno())

    def _on_arrival(self, _: int) -> None:
        for _ in range(TURN):
            try:
                datagram, ancillary, _, sender = self._arriving.recvmsg(_LARGEST, 64)
            except BlockingIOError:
                return
            except OSError:  # an error of an answer that was sent before
                continue
            self._take(datagram, (sender[0], sender[1]), self._local_address(ancillary))

    def _local_address(self, ancillary: list[tuple[int, int, bytes]]) -> bytes:
        level, _, kind = _OPTIONS[self._family]
        for found_level, found_kind, octets in ancillary:
            if (found_level, found_kind) == (level, kind):
                return octets[8:12] if self._family is Family.IPV4 else octets[:16]
        return b""

    def _take(self, datagram: bytes, client: Client, local: bytes) -> None:
        flow = self._flow(client, local)
        if flow is None:
            return
        flow.used, flow.is_waiting = self._udp.loop.now(), True
        if flow.socket is None or flow.unanswered:
            flow.unanswered, flow.tried = datagram, ()
        self._send(flow, datagram)

    def _flow(self, client: Client, local: bytes) -> Flow | None:
        """The flow that a datagram belongs to; None if nothing serves its destination."""
        flow = self._flows.get((client, local))
        if flow is not None and (self._udp.loop.now() - flow.used > CERTAIN_S or not flow.port.current):
            flow = self._confirmed(flow)
        return flow or self._new(client, local)

    def _confirmed(self, flow: Flow) -> Flow | None:
        """The same flow, if it is one still and may stay with its endpoint."""
        port = self._port_of(flow.client, flow.local)
        if port is not None and port.route.key == flow.port.route.key and _serves(port, flow.endpoint):
            flow.port = port
            return flow
        self._end(flow)
        return None

    def _port_of(self, client: Client, local: bytes) -> ServicePort | None:
        return self._udp.routes.find(self._family, Protocol.UDP, self._destination(client, local))

    def _destination(self, client: Client, local: bytes) -> bytes:
        """Empty if conntrack knows none."""
        try:
            return self._udp.conntrack.original_destination(self._family, local + self._number, packed_of(self._family, *client))
        except OSError:
            return b""

    def _new(self, client: Client, local: bytes) -> Flow | None:
        destination = self._destination(client, local)
        port = self._udp.routes.find(self._family, Protocol.UDP, destination) if destination else None
        if port is None or not self._udp.slots.take():
            return None
        flow = self._flows[client, local] = Flow(client, local, destination, port, self._udp.loop.now())
        self._udp.loop.call_later(self._udp.idle.seconds, lambda: self._end_if_idle(flow))
        return flow

    def _send(self, flow: Flow, datagram: bytes) -> None:
        """To the endpoint of the flow; to another one if it refuses at once."""
        while flow.socket is not None or self._connect(flow):
            try:
                if flow.socket is not None:
                    flow.socket.send(datagram)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.EMSGSIZE or not self._refused(flow, error):
                    return
            else:
                return

    def _connect(self, flow: Flow) -> bool:
        """Give the flow an endpoint; whether there is one that was not tried."""
        while (endpoint := flow.port.choose(flow.client[0], self._udp.failures, flow.tried, local=self._local)) is not None:
            flow.tried = (*flow.tried, endpoint)
            try:
                made = self._udp.outgoing.opened(self._family, Protocol.UDP)
                made.connect(sockaddr_of(endpoint))
                self._udp.loop.register(made.fileno(), select.EPOLLIN, lambda _: self._on_answer(flow))
            except OSError as error:
                self._udp.failures.add(endpoint, error.errno or errno.EIO)
                continue
            flow.socket, flow.endpoint = made, endpoint
            flow.port.connected(flow.client[0], endpoint)
            return True
        return False

    def _on_answer(self, flow: Flow) -> None:
        for _ in range(TURN):
            if flow.socket is None:
                return
            try:
                datagram = flow.socket.recv(_LARGEST)
            except BlockingIOError:
                return
            except OSError as error:
                if self._refused(flow, error) and flow.unanswered:
                    self._send(flow, flow.unanswered)
                return
            flow.unanswered, flow.used, flow.is_waiting = b"", self._udp.loop.now(), False
            self._answer(flow, datagram)
            if self._released:
                self._udp.loop.call_later(NEXT_S, lambda: self._let_go(flow.client, flow.local))

    def _answer(self, flow: Flow, datagram: bytes) -> None:
        """To the client, from the address that it is translated to."""
        level, _, kind = _OPTIONS[self._family]
        source = _PKTINFO_V4.pack(0, flow.local, bytes(4)) if self._family is Family.IPV4 else _PKTINFO_V6.pack(flow.local, 0)
        with contextlib.suppress(OSError):  # a datagram more or less that the kernel does not take
            self._arriving.sendmsg([datagram], [(level, kind, source)], 0, flow.client)

    def _refused(self, flow: Flow, error: OSError) -> bool:
        """The endpoint has nobody at its port: leave it. Whether the datagram may go to another one."""
        self._udp.failures.add(flow.endpoint, error.errno or errno.EIO)
        self._disconnect(flow)
        return bool(flow.unanswered)

    def _disconnect(self, flow: Flow) -> None:
        if flow.socket is not None:
            self._udp.loop.unregister(flow.socket.fileno())
            flow.socket.close()
            flow.socket = None

    def _end_if_idle(self, flow: Flow) -> None:
        if self._flows.get((flow.client, flow.local)) is not flow:
            return
        rest_s = flow.ends(self._udp.idle.seconds) - self._udp.loop.now()
        if rest_s <= 0:
            self._end(flow)
        else:
            self._udp.loop.call_later(rest_s, lambda: self._end_if_idle(flow))

    def _delete(self, waiting: Iterable[bytes] = ()) -> None:
        """From conntrack, but for these clients' flows."""
        with contextlib.suppress(OSError):  # no memory for it; `close` tries again
            stale_flows.delete(self._family, int.from_bytes(self._number), frozenset(waiting))

    def _let_go(self, client: Client, local: bytes) -> None:
        """The client's next datagram is somebody else's, if it has not sent it yet."""
        self._on_arrival(0)
        flow = self._flows.get((client, local))
        if flow is not None and flow.is_waiting:
            return
        with contextlib.suppress(OSError):  # conntrack has forgotten it
            self._udp.conntrack.delete(self._family, local + self._number, packed_of(self._family, *client))
        if flow is not None:
            self._end(flow)

    def _end(self, flow: Flow) -> None:
        self._disconnect(flow)
        del self._flows[flow.client, flow.local]
        self._udp.slots.give_back()


def _serves(port: ServicePort, endpoint: bytes) -> bool:
    """Whether a flow may stay with its endpoint."""
    step = port.route.family.size + 2
    serving = port.route.serving
    return any(serving[at : at + step] == endpoint for at in range(0, len(serving), step))
