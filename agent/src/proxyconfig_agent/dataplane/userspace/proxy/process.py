"""The process: what it consists of, and what an update of the agent changes."""

from __future__ import annotations

import socket

from proxyconfig_agent.dataplane.userspace.proxy.control.control import Control
from proxyconfig_agent.dataplane.userspace.proxy.control.messages import Listener, Update
from proxyconfig_agent.dataplane.userspace.proxy.control.names import END, RETIRE
from proxyconfig_agent.dataplane.userspace.proxy.control.rendezvous import Rendezvous
from proxyconfig_agent.dataplane.userspace.proxy.event_loop import EventLoop
from proxyconfig_agent.dataplane.userspace.proxy.flow import IdleTime
from proxyconfig_agent.dataplane.userspace.proxy.limits import Limits, Slots
from proxyconfig_agent.dataplane.userspace.proxy.original_destination import UdpFlows
from proxyconfig_agent.dataplane.userspace.proxy.routes.failures import Failures
from proxyconfig_agent.dataplane.userspace.proxy.routes.routes import Routes
from proxyconfig_agent.dataplane.userspace.proxy.sockets import Outgoing
from proxyconfig_agent.dataplane.userspace.proxy.tcp.pipes import Pipes
from proxyconfig_agent.dataplane.userspace.proxy.tcp.tcp import Acceptor, Tcp
from proxyconfig_agent.dataplane.userspace.proxy.udp import Udp, UdpProxy
from proxyconfig_agent.ingest.model import Protocol

SUCCESSOR_S = 60.0
"""So long a process without an agent takes connections; afterwards it has those that there are until they end."""
UNDERWAY_S = 5.0
"""So long after the last rule that led here, what it has brought may still come in: the end of a handshake, a datagram."""
LAST_S = 3600.0
"""So long these connections have."""
PAUSE_S = 1.0


class ProxyProcess:
    """Serves until the agent closes its end of `control`, and a while longer. Raises OSError where conntrack has no netlink."""

    def __init__(self, control: socket.socket, limits: Limits, purpose: str) -> None:
        self._loop = loop = EventLoop()
        self._routes = routes = Routes(loop.now)
        self._idle, self._outgoing = IdleTime(), Outgoing()
        self._tcp = Tcp(loop, routes, Failures(loop.now), Pipes(limits.pipes), Slots(limits.connections), self._outgoing)
        self._udp = Udp(loop, routes, Failures(loop.now), UdpFlows(), Slots(limits.flows), self._idle, self._outgoing)
        self._full = limits
        self._control = Control(loop, control, self._apply, self._orphaned)
        self._rendezvous = Rendezvous(loop, {END: self._end, RETIRE: self._succeeded}, purpose)
        self._entrances: list[Acceptor | UdpProxy] = []
        self._datagrams: list[UdpProxy] = []

    def run(self) -> None:
        self._control.begin()
        self._rendezvous.begin()
        self._loop.run()

    def _apply(self, update: Update) -> None:
        if update.udp_idle_s is not None:
            self._idle.seconds = update.udp_idle_s
        if update.mark is not None:
            self._outgoing.mark = update.mark
        for key in update.drop:
            self._routes.drop(key)
        for route in update.put:
            self._routes.put(route)
        for listener in update.listeners:
            self._listen(listener)

    def _listen(self, listener: Listener) -> None:
        inherited = socket.socket(fileno=listener.descriptor)
        inherited.setblocking(False)
        made: Acceptor | UdpProxy
        if listener.protocol is Protocol.TCP:
            made = Acceptor(self._tcp, inherited, listener.family, local=listener.local)
        else:
            made = UdpProxy(self._udp, inherited, listener.family, local=listener.local)
            self._datagrams.append(made)
        made.begin()
        self._entrances.append(made)

    def _orphaned(self) -> None:
        """The agent has ended, or has another mode soon. Rules lead here until its successor has others: serve on for a while."""
        self._loop.call_later(SUCCESSOR_S, self._retire)

    def _succeeded(self) -> None:
        """Somebody else has the node."""
        for each in self._datagrams:
            each.release()
        self._loop.call_later(UNDERWAY_S, self._retire)

    def _retire(self) -> None:
        """Take nothing new, and end with the last connection."""
        if self._entrances:
            self._loop.call_later(LAST_S, self._end)
        self._close()
        self._end_if_idle()

    def _close(self) -> None:
        for entrance in self._entrances:
            entrance.close()
        self._entrances, self._datagrams = [], []

    def _end_if_idle(self) -> None:
        if self._tcp.slots.free == self._full.connections and self._udp.slots.free == self._full.flows:
            self._end()
        else:
            self._loop.call_later(PAUSE_S, self._end_if_idle)

    def _end(self) -> None:
        self._close()
        self._loop.running = False
