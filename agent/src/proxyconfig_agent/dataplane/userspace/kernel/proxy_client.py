"""Starts the proxy process, and sends it changes."""

from __future__ import annotations

import itertools
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence

from proxyconfig_agent.dataplane.port import DataplaneError
from proxyconfig_agent.dataplane.userspace.kernel.listeners import Listeners
from proxyconfig_agent.dataplane.userspace.proxy.control.messages import Done, Incoming, Route, Update, encoded
from proxyconfig_agent.dataplane.userspace.proxy.control.names import ALL_SERVICES

PACKAGE = "proxyconfig_agent.dataplane.userspace.proxy"
BATCH = 500
"""Routes of one update."""
ANSWER_S = 30.0
"""A process that has not answered for so long serves no connection either: it is ended."""
_PIECE = 1 << 16
_left: list[subprocess.Popen[bytes]] = []
"""Processes without an owner: the process that started one has to wait for its end."""


class ProxyClient:
    """The process runs from the beginning, in the network namespace of the thread that makes it, until `close`. Raises OSError."""

    def __init__(self, listeners: Listeners, purpose: str = ALL_SERVICES) -> None:
        self._serials = itertools.count(1)
        self._incoming = Incoming(Done)
        _left[:] = [each for each in _left if each.poll() is None]
        inherited = listeners.inherited()
        self._control, theirs = socket.socketpair()
        self._control.settimeout(ANSWER_S)
        with theirs:
            descriptors = (theirs.fileno(), *(each.descriptor for each in inherited))
            # A separate session: signals to the agent's process group do not reach it.
            self._process = subprocess.Popen(
                [sys.executable, "-m", PACKAGE, str(theirs.fileno()), purpose], pass_fds=descriptors, start_new_session=True
            )
        self._listeners = inherited
        self._serves = False

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def serve(self) -> None:
        """Take connections and datagrams from now on; fine if it does already. Raises DataplaneError."""
        if not self._serves:
            self._exchange(Update(serial=next(self._serials), listeners=self._listeners))
            self._serves = True

    def configure(self, udp_idle_s: float, mark: int = 0) -> None:
        """Raises DataplaneError."""
        self._exchange(Update(serial=next(self._serials), udp_idle_s=udp_idle_s, mark=mark))

    def update(self, put: Iterable[Route] = (), drop: Sequence[str] = ()) -> None:
        """Return when the process serves these, and does not serve those. Raises DataplaneError."""
        for batch in _batches(put):
            self._exchange(Update(serial=next(self._serials), put=batch))
        if drop:
            self._exchange(Update(serial=next(self._serials), drop=tuple(drop)))

    def close(self) -> None:
        """Leave the process to itself: it serves on for a while, and its connections for as long as they are."""
        self._control.close()
        _left.append(self._process)

    def kill(self) -> None:
        """End the process, and its connections with it."""
        self._control.close()
        self._process.kill()
        self._process.wait()

    def _exchange(self, update: Update) -> None:
        try:
            self._control.sendall(encoded(update))
            while not any(done.serial == update.serial for done in self._incoming.fed(self._received())):
                pass
        except OSError as error:
            raise DataplaneError(f"userspace: {self._trouble(error)}; it is started again") from error

    def _received(self) -> bytes:
        octets = self._control.recv(_PIECE)
        if not octets:
            raise ConnectionResetError
        return octets

    def _trouble(self, error: OSError) -> str:
        if isinstance(error, TimeoutError):
            self._process.kill()
            return f"the proxy process has not answered for {ANSWER_S:g} s"
        return f"the proxy process has ended (status {self._process.wait()})"


def _batches(routes: Iterable[Route]) -> Iterator[tuple[Route, ...]]:
    left = iter(routes)
    while batch := tuple(itertools.islice(left, BATCH)):
        yield batch
