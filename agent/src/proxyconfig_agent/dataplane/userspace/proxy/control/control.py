"""Takes changes of the table from the agent, and answers when they are in effect."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

from proxyconfig_agent.dataplane.userspace.proxy.control.messages import Done, Incoming, Update, encoded
from proxyconfig_agent.dataplane.userspace.proxy.event_loop import EventLoop

_PIECE = 1 << 18


class Control:
    """`apply` carries an update out; `ended` is called once when the agent has closed its end."""

    def __init__(self, loop: EventLoop, agent: socket.socket, apply: Callable[[Update], None], ended: Callable[[], None]) -> None:
        self._loop, self._agent, self._apply, self._ended = loop, agent, apply, ended
        self._incoming = Incoming(Update)

    def begin(self) -> None:
        self._loop.register(self._agent.fileno(), select.EPOLLIN, self._on_events)

    def _on_events(self, _: int) -> None:
        try:
            octets = self._agent.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            octets = b""
        if not octets:
            self._end()
            return
        for update in self._incoming.fed(octets):
            self._apply(update)
            self._answer(Done(update.serial))

    def _answer(self, done: Done) -> None:
        try:
            self._agent.sendall(encoded(done))
        except OSError:
            self._end()

    def _end(self) -> None:
        self._loop.unregister(self._agent.fileno())
        self._agent.close()
        self._ended()
