"""Servers and clients that measure a way through a node: `load.py serve PORT`, `load.py stream|connect|echo ADDRESS PORT SECONDS`.

A client prints one JSON line: octets, connections or questions per second, and the median and 99th percentile of one in microseconds.
"""

from __future__ import annotations

import contextlib
import json
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable

PIECE = 1 << 18
QUESTION = b"?"


def serve(port: int) -> None:
    """Answer each octet `?` by itself; take everything else."""
    listening = socket.create_server(("0.0.0.0", port), backlog=4096)
    print("ready", flush=True)
    while True:
        connection, _ = listening.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    with connection, contextlib.suppress(ConnectionResetError):
        while octets := connection.recv(PIECE):
            if octets == QUESTION:
                connection.sendall(octets)


def stream(address: str, port: int, seconds: float) -> dict[str, float]:
    """As much as goes through one connection."""
    octets, sent = b"x" * PIECE, 0
    with socket.create_connection((address, port)) as connection:
        began = time.monotonic()
        while (took := time.monotonic() - began) < seconds:
            sent += connection.send(octets)
    return {"per_second": sent / took}


def connect(address: str, port: int, seconds: float) -> dict[str, float]:
    """Connections, one after the other, each with a question and an answer."""

    def once() -> None:
        with socket.create_connection((address, port)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            _ask(connection)

    return _timed(once, seconds)


def echo(address: str, port: int, seconds: float) -> dict[str, float]:
    """Questions through one connection, one after the other."""
    with socket.create_connection((address, port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _timed(lambda: _ask(connection), seconds)


def _ask(connection: socket.socket) -> None:
    connection.sendall(QUESTION)
    if connection.recv(1) != QUESTION:
        raise ConnectionError("another answer")


def _timed(work: Callable[[], None], seconds: float) -> dict[str, float]:
    took: list[float] = []
    began = time.perf_counter()
    while (before := time.perf_counter()) - began < seconds:
        work()
        took.append(time.perf_counter() - before)
    percentiles = statistics.quantiles(took, n=100)
    return {"per_second": len(took) / sum(took), "median_us": 1e6 * percentiles[49], "p99_us": 1e6 * percentiles[98]}


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        measured = {"stream": stream, "connect": connect, "echo": echo}[sys.argv[1]]
        print(json.dumps(measured(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))))
