"""A server that answers every message of a connection with its name, for as long as the client talks."""

from __future__ import annotations

import contextlib
import socket
import threading

from tests.support.netns.namespace import Namespace


class Talker:
    """Threads of the test's process, with their sockets in a namespace."""

    def __init__(self, space: Namespace, name: str, address: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._name = name.encode()
        self._listener = space.call(lambda: socket.create_server((address, port), family=family))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while connection.recv(1000):
                connection.sendall(self._name)
