"""One direction of a TCP connection: octets from one socket to the other, by splice(2) through a pipe, never through Python.

What the receiver does not take stays in the pipe and then in the sender's socket: back-pressure. The end of the sender's stream becomes
the end of the receiver's (half-close).
"""

from __future__ import annotations

import os
import socket

from proxyconfig_agent.dataplane.userspace.proxy.tcp.pipes import Pipe, Pipes

CHUNK = 1 << 16
"""What a pipe holds."""
TURN = 1 << 19
"""Octets until other connections have their turn."""
_FLAGS = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE


class Relay:
    """`readable` and `writable` are what is known of the two sockets: set by events, taken back when the kernel says otherwise."""

    __slots__ = ("_from", "_held", "_pipe", "_pipes", "_stream_ended", "_to", "done", "readable", "writable")

    def __init__(self, source: socket.socket, sink: socket.socket, pipes: Pipes) -> None:
        self._from, self._to, self._pipes = source, sink, pipes
        self._pipe: Pipe | None = None
        self._held = 0
        self._stream_ended = False
        self.readable = self.writable = True
        self.done = False
        """The end of the stream was passed on."""

    def pump(self) -> bool:
        """Move what can be moved; whether there is more to move now. Raises OSError if one of the sockets has failed."""
        left = TURN
        while left > 0:
            moved = self._step()
            if moved is None:
                return False
            left -= moved
        return True

    def close(self) -> None:
        """What is in the pipe is lost."""
        if self._pipe is not None:
            (self._pipes.discard if self._held else self._pipes.release)(self._pipe)
            self._pipe, self._held = None, 0
        self.done = True

    def _step(self) -> int | None:
        """How many octets came from the sender; None: nothing more can be done now."""
        if self.done:
            return None
        if self._held:
            return 0 if self._drain() else None
        if self._stream_ended:
            self._finish()
            return None
        if not self.readable:
            self._release()
            return None
        if self._pipe is None:
            self._pipe = self._pipes.acquire()
        return self._copy() if self._pipe is None else self._fill(self._pipe)

    def _fill(self, pipe: Pipe) -> int:
        """From the sender into the empty pipe."""
        try:
            self._held = os.splice(self._from.fileno(), pipe.input, CHUNK, flags=_FLAGS)
        except BlockingIOError:
            self.readable = False
            return 0
        self._stream_ended = not self._held
        return self._held

    def _drain(self) -> bool:
        """From the pipe to the receiver; whether it takes more."""
        if not self.writable or self._pipe is None:
            return False
        try:
            self._held -= os.splice(self._pipe.output, self._to.fileno(), self._held, flags=_FLAGS)
        except BlockingIOError:
            self.writable = False
        return self.writable

    def _copy(self) -> int | None:
        """Without a pipe: take no more from the sender than the receiver takes."""
        if not self.writable:
            return None
        try:
            octets = self._from.recv(CHUNK, socket.MSG_PEEK)
        except BlockingIOError:
            self.readable = False
            return 0
        if not octets:
            self._stream_ended = True
            return 0
        try:
            sent = self._to.send(octets)
        except BlockingIOError:
            self.writable = False
            return None
        return len(self._from.recv(sent))

    def _finish(self) -> None:
        """Pass the end of the stream on."""
        self._release()
        self._to.shutdown(socket.SHUT_WR)
        self.done = True

    def _release(self) -> None:
        if self._pipe is not None:
            self._pipes.release(self._pipe)
            self._pipe = None
