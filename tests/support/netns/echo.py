"""A server that says who it is and whom it sees: `NAME CLIENT PORT`, on TCP, UDP and SCTP (raw where the kernel has no sockets for it), in
both families.

Runs as a process in a namespace or in a pod: `python -m tests.support.netns.echo NAME --address A … --port P …`. Prints `ready` when it
listens on everything, and ends when its standard input does, so it never outlives the test that started it. Standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import selectors
import socket
import sys
from collections.abc import Callable, Sequence

from tests.support.netns import associations, sctp

PROTOCOLS = ("tcp", "udp", "sctp")
BATCH = 64
"""Packets or connections taken from one socket before the others have their turn."""


class Echo:
    """Listening sockets and what they answer."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._selector = selectors.DefaultSelector()

    def listen(self, address: str, ports: Sequence[int], protocols: Sequence[str]) -> None:
        """Open the sockets of one address."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        if "sctp" in protocols and not associations.are_there():
            raw = socket.socket(family, socket.SOCK_RAW, sctp.PROTOCOL)
            self._add(raw, address, 0, lambda: self._answer_sctp(raw, frozenset(ports)))
        for port in ports:
            if "tcp" in protocols:
                self._listen(socket.socket(family, socket.SOCK_STREAM), address, port)
            if "sctp" in protocols and associations.are_there():
                self._listen(associations.opened(family), address, port)
            if "udp" in protocols:
                datagrams = socket.socket(family, socket.SOCK_DGRAM)
                self._add(datagrams, address, port, self._udp_answerer(datagrams, port))

    def serve(self, stop: socket.socket | None) -> None:
        """Answer until `stop` becomes readable."""
        if stop is not None:
            self._selector.register(stop, selectors.EVENT_READ, None)
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                # PermissionError: the kernel discards the answer. The client gets an error, or nothing.
                with contextlib.suppress(BlockingIOError, ConnectionError, PermissionError):
                    for _ in range(BATCH):
                        key.data()

    def _add(self, sock: socket.socket, address: str, port: int, answer: Callable[[], None]) -> None:
        if sock.family == socket.AF_INET6 and sock.type != socket.SOCK_RAW:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.setblocking(False)
        self._selector.register(sock, selectors.EVENT_READ, answer)

    def _listen(self, listener: socket.socket, address: str, port: int) -> None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._add(listener, address, port, lambda: self._answer_connection(listener, port))
        listener.listen(1024)

    def _answer_connection(self, listener: socket.socket, port: int) -> None:
        connection, peer = listener.accept()
        with connection:
            connection.sendall(self._words(peer[0], port))

    def _udp_answerer(self, sock: socket.socket, port: int) -> Callable[[], None]:
        def answer() -> None:
            _, peer = sock.recvfrom(2048)
            sock.sendto(self._words(peer[0], port), peer)

        return answer

    def _answer_sctp(self, raw: socket.socket, ports: frozenset[int]) -> None:
        datagram, peer = raw.recvfrom(4096)
        packet = sctp.decode(datagram, raw.family)
        if packet is None or packet.kind != sctp.INIT:
            return
        kind, words = (sctp.INIT_ACK, self._words(peer[0], packet.port)) if packet.port in ports else (sctp.ABORT, b"")
        answer = sctp.Packet(packet.port, packet.source_port, kind, packet.initiate_tag, 0x5EC0, words)
        raw.sendto(answer.encode(), (peer[0], 0))

    def _words(self, client: str, port: int) -> bytes:
        return f"{self._name} {client} {port}".encode()


def main(arguments: Sequence[str]) -> None:
    """Listen on what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--address", action="append", required=True)
    parser.add_argument("--port", action="append", type=int, required=True)
    parser.add_argument("--protocol", action="append", choices=PROTOCOLS)
    parser.add_argument("--forever", action="store_true", help="do not end with the standard input (in a pod)")
    options = parser.parse_args(arguments)
    echo = Echo(options.name)
    for address in options.address:
        echo.listen(address, options.port, options.protocol or PROTOCOLS)
    print("ready", flush=True)
    echo.serve(None if options.forever else sys.stdin)  # type: ignore[arg-type]


if __name__ == "__main__":
    main(sys.argv[1:])
