"""An HTTP server: health for load balancers, metrics for scrapers, rounds of probes for agents. Knows paths and answers, not their meaning.

The standard library's server in separate threads: it costs 0.4 MiB, and answers while a big sync
holds the event loop.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any

import structlog

from proxyconfig_client.http.answer import Answer

CONNECTIONS = 32
"""Each has a thread, and a node's memory is not for port scanners. One more closes the oldest that has sent no request yet."""

ROOM_S = 1.0
"""How long one more waits for a closed one to end."""

LONGEST_BODY = 1 << 16
"""Of a request, in bytes."""

_TEXT = "text/plain; charset=utf-8"
_log = structlog.get_logger("http")

Routes = Mapping[str, Callable[[], Answer]]
"""Answers by path. They are called in the server's threads."""

Posts = Mapping[str, Callable[[bytes], Answer]]
"""Answers to the body of a POST, by path; likewise."""


class _Handler(BaseHTTPRequestHandler):
    """Any method, as kube-proxy's servers do it; a body is read where `posts` has an answer to it, and nowhere else."""

    server: Server
    timeout = 5.0

    def _answer(self) -> None:
        self.server.has_asked(self.connection)
        answer = self._answered(self._route(self.path.partition("?")[0]))
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _route(self, path: str) -> Callable[[], Answer]:
        post = self.server.posts.get(path) if self.command == "POST" else None
        if post is None:
            return self.server.routes.get(path, _not_found)
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdecimal()):
            return _no_length
        return partial(post, self.rfile.read(int(length))) if int(length) <= LONGEST_BODY else _too_long

    def _answered(self, route: Callable[[], Answer]) -> Answer:
        try:
            return route()
        except Exception:
            _log.exception("request failed", path=self.path)
            return Answer(500, b"internal error, see the log\n", _TEXT)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer  # noqa: N815 - the base class looks for these names

    def version_string(self) -> str:
        """What the Server header says: no versions, those help attackers only."""
        return "proxyconfig"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing: a line for every probe is no decision of ours."""


def _not_found() -> Answer:
    return Answer(404, b"not found\n", _TEXT)


def _no_length() -> Answer:
    return Answer(400, b"Content-Length is not a number\n", _TEXT)


def _too_long() -> Answer:
    return Answer(413, f"more than {LONGEST_BODY} bytes\n".encode(), _TEXT)


class Server(ThreadingHTTPServer):
    """Listens from the moment it is made. Raises OSError when it cannot. A wildcard address, or none, means both families, as it does for
    Go's servers."""

    daemon_threads = True
    request_queue_size = CONNECTIONS

    def __init__(self, host: str, port: int, routes: Routes, posts: Posts = MappingProxyType({})) -> None:
        self.routes, self.posts = routes, posts
        self._wildcard = host in ("", "0.0.0.0", "::")  # noqa: S104 - recognised, not chosen
        dual_stack = self._wildcard and socket.has_dualstack_ipv6()
        self.address_family = socket.AF_INET6 if dual_stack or ":" in host else socket.AF_INET
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        self._silent: dict[socket.socket, None] = {}  # that have sent no request yet, oldest first
        super().__init__(("::" if dual_stack else host, port), _Handler)

    def server_bind(self) -> None:
        """Without the base class's look-up of our own host name, which may ask a DNS that does not work yet."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not self._wildcard)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def has_asked(self, connection: socket.socket) -> None:
        self._silent.pop(connection, None)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False) or (self._close_oldest() and self._free.acquire(timeout=ROOM_S)):
            self._silent[request] = None
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.has_asked(request)
            self._free.release()

    def _close_oldest(self) -> bool:
        """Close the oldest silent connection, so that idle ones do not keep kubelet's probes out; False if there is none."""
        oldest = next(iter(tuple(self._silent)), None)
        if oldest is None:
            return False
        self.has_asked(oldest)
        with contextlib.suppress(OSError):  # its thread may have closed it just now
            oldest.shutdown(socket.SHUT_RDWR)
        return True

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's signature
        _log.debug("connection failed", client=str(client_address), exc_info=True)
