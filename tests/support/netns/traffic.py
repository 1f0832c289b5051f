"""A client that sends one request after the other until it is stopped, and says how many had no answer, as a process in a namespace.

`python -m tests.support.netns.traffic FLOWS PACE` with a JSON list of `{"kind", "address", "port"}` and the seconds between two requests
of a flow. It prints `ready` when every flow has had its first answer, goes on until some requests after the end of its standard input,
and prints a JSON list with what became of each flow. Standard library only.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

PATIENCE_S = 10
"""A server that has no processor for seconds is not silent."""
LAST = 25
"""Requests of each flow after the end of the standard input."""
_stopped = threading.Event()


class Flow:
    """Requests of one kind to one address."""

    def __init__(self, pace_s: float, kind: str, address: str, port: int) -> None:
        self._ask: Callable[[], None] = {"connection": self._on_connection, "connections": self._connect, "datagrams": self._send}[kind]
        self._pace_s, self._to = pace_s, (address, port)
        self._family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._socket: socket.socket | None = None
        self._sent, self._lost = 0, list[str]()
        self.answered = threading.Event()

    def run(self) -> Mapping[str, Any]:
        """Ask until it is time to stop. A connection that breaks is the last of its flow."""
        kept, last = True, LAST
        while kept and last:
            last -= _stopped.is_set()
            time.sleep(self._pace_s)
            self._sent += 1
            try:
                self._ask()
            except OSError as error:
                self._lost.append(f"{type(error).__name__} in request {self._sent}")
                kept = self._ask != self._on_connection
            self.answered.set()
        if self._socket is not None:
            self._socket.close()
        return {"sent": self._sent, "lost": self._lost, "kept": kept}

    def _on_connection(self) -> None:
        if self._socket is None:
            self._socket = _connected(self._family, self._to)
        self._socket.sendall(b"x")
        _answer(self._socket)

    def _connect(self) -> None:
        with _connected(self._family, self._to) as made:
            _answer(made)

    def _send(self) -> None:
        if self._socket is None:
            self._socket = socket.socket(self._family, socket.SOCK_DGRAM)
            self._socket.settimeout(PATIENCE_S)
            self._socket.connect(self._to)
        self._socket.send(b"x")
        _answer(self._socket)


def _connected(family: socket.AddressFamily, to: tuple[str, int]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    # RST at the end: neither the ports nor the virtual servers of the node are full of connections that have ended.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    made.settimeout(PATIENCE_S)
    try:
        made.connect(to)
    except OSError:
        made.close()
        raise
    return made


def _answer(connection: socket.socket) -> None:
    if not connection.recv(256):
        raise ConnectionResetError


def main(arguments: Sequence[str]) -> None:
    """Send what the two arguments say."""
    flows = [Flow(float(arguments[1]), **flow) for flow in json.loads(arguments[0])]
    with ThreadPoolExecutor(len(flows)) as pool:
        running = [pool.submit(flow.run) for flow in flows]
        for flow in flows:
            flow.answered.wait()
        print("ready", flush=True)
        sys.stdin.read()
        _stopped.set()
        print(json.dumps([each.result() for each in running]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
