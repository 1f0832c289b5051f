"""An API server whose objects never change: lists, and watches in which nothing happens. It answers an agent that needs no more."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.support.netns.namespace import Namespace
from tests.support.scenarios.scenario import Object

Lists = Mapping[str, list[Object]]
"""Objects by the path of their list."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, lists: Lists) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lists = lists
        self.closing = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        query = parse_qs(asked.query)
        if "sendInitialEvents" in query:
            self._answer(422, {"kind": "Status", "code": 422})
        elif "watch" in query:
            self._watch()
        elif asked.path not in self.server.lists:
            self._answer(404, {"kind": "Status", "code": 404})
        else:
            self._answer(200, {"kind": "List", "metadata": {"resourceVersion": "1"}, "items": self.server.lists[asked.path]})

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""

    def _watch(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        self.server.closing.wait()
        self.close_connection = True

    def _answer(self, status: int, document: Object) -> None:
        octets = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)


@contextlib.contextmanager
def serving(node: Namespace, lists: Lists) -> Iterator[str]:
    """On a loopback address of a node; its URL."""
    server = node.call(_Server, lists)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
