"""A server on the loopback interface, and a client of it."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from proxyconfig_client.http.server import Server


@contextmanager
def serving(made: Server) -> Iterator[int]:
    """Its port; at the end it is closed."""
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made.server_port
    finally:
        made.shutdown()
        thread.join()
        made.server_close()


def ask(port: int, path: str, method: str = "GET", host: str = "127.0.0.1", body: bytes | None = None) -> tuple[int, bytes]:
    """Status and body of the response."""
    connection = http.client.HTTPConnection(host, port, timeout=30)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        assert response.getheader("X-Content-Type-Options") == "nosniff"
        return response.status, response.read()
    finally:
        connection.close()
