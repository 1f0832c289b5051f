"""A server that answers every message of a connection with a word, as long as the client talks. Both families; standard library only."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading


def main(port: int) -> None:
    """Serve for ever."""
    with socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_talk, args=(connection,), daemon=True).start()


def _talk(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        while connection.recv(1000):
            connection.sendall(b"yes")


if __name__ == "__main__":
    main(int(sys.argv[1]))
