"""Lets any agent of this node end the process: one that removes or leaves the mode, or cleans up, need not be its parent."""

from __future__ import annotations

import os
import select
import socket
import struct
from collections.abc import Callable, Mapping

from proxyconfig_agent.dataplane.userspace.proxy.control.names import address_of, name_of
from proxyconfig_agent.dataplane.userspace.proxy.event_loop import EventLoop

_CREDENTIALS = struct.Struct("3i")  # ucred: process, user, group
_PATIENCE_S = 1.0
_LONGEST = 16


class Rendezvous:
    """`answers`: what to do at which word. Raises OSError if there is such a name already."""

    def __init__(self, loop: EventLoop, answers: Mapping[bytes, Callable[[], None]], purpose: str) -> None:
        self._loop, self._answers = loop, answers
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(address_of(name_of(purpose, os.getpid())))
        self._listening.listen()
        self._listening.setblocking(False)

    def begin(self) -> None:
        self._loop.register(self._listening.fileno(), select.EPOLLIN, self._on_events)

    def _on_events(self, _: int) -> None:
        try:
            caller, _ = self._listening.accept()
        except OSError:
            return
        with caller:
            caller.settimeout(_PATIENCE_S)
            if _is_own(caller) and (answer := self._answers.get(_received(caller))):
                answer()


def _is_own(caller: socket.socket) -> bool:
    """Abstract sockets have no permissions: every process of the node's network can call."""
    credentials = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return bool(_CREDENTIALS.unpack(credentials)[1] == os.geteuid())


def _received(caller: socket.socket) -> bytes:
    try:
        return caller.recv(_LONGEST)
    except OSError:
        return b""
