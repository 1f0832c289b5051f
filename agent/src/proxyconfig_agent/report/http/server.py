"""The HTTP servers of an agent: health for load balancers, metrics for scrapers. Knows paths and answers, not what they mean.

The standard library's server in a separate thread: it costs 0.4 MiB, and answers while a big sync
holds the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import structlog

from proxyconfig_agent.report.http.bind_address import Bind
from proxyconfig_agent.report.http.health import Answer
from proxyconfig_agent.state.findings import Finding, Topic

RETRY_S = 5.0
"""kube-proxy's interval, too, between attempts to listen."""

CONNECTIONS = 32
"""Each has a thread, and a node's memory is not for port scanners. One more closes the oldest that has sent no request yet."""

ROOM_S = 1.0
"""How long one more waits for a closed one to end."""

_TEXT = "text/plain; charset=utf-8"
_log = structlog.get_logger("http")

Routes = Mapping[str, Callable[[], Answer]]
"""Answers by path. They are called in the server's threads."""


class _Handler(BaseHTTPRequestHandler):
    """Any method, as kube-proxy's servers do it; a body in a request is not read."""

    server: Server
    timeout = 5.0

    def _answer(self) -> None:
        self.server.has_asked(self.connection)
        answer = self._routed(self.path.partition("?")[0])
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _routed(self, path: str) -> Answer:
        route = self.server.routes.get(path)
        if route is None:
            return Answer(404, b"not found\n", _TEXT)
        try:
            return route()
        except Exception:
            _log.exception("request failed", path=path)
            return Answer(500, b"internal error, see the agent's log\n", _TEXT)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer  # noqa: N815 - the base class looks for these names

    def version_string(self) -> str:
        """What the Server header says: no versions, those help attackers only."""
        return "proxyconfig"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing: a line for every probe is no decision of ours."""


class Server(ThreadingHTTPServer):
    """Listens from the moment it is made. Raises OSError when it cannot."""

    daemon_threads = True
    request_queue_size = CONNECTIONS

    def __init__(self, bind: Bind, routes: Routes) -> None:
        self.routes = routes
        self._wildcard = bind.is_wildcard
        dual_stack = self._wildcard and socket.has_dualstack_ipv6()
        self.address_family = socket.AF_INET6 if dual_stack or ":" in bind.host else socket.AF_INET
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        self._silent: dict[socket.socket, None] = {}  # that have sent no request yet, oldest first
        super().__init__(("::" if dual_stack else bind.host, bind.port), _Handler)

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


async def serve(what: str, bind: Bind, routes: Routes, tell: Callable[[Finding | None], None], retry_s: float = RETRY_S) -> None:
    """Listen until cancelled; while the port is taken, try again every `retry_s` seconds.

    `tell` gets a finding when listening fails, with other words than before, and None once it works."""
    told = None
    while True:
        try:
            server = Server(bind, routes)
            break
        except OSError as error:
            if (finding := _refusal(what, bind, error)) != told:
                _log.warning("cannot listen", what=what, address=str(bind), error=error.strerror)
                tell(told := finding)
            await asyncio.sleep(retry_s)
    tell(None)
    _log.info("listening", what=what, address=str(bind))
    thread = threading.Thread(target=server.serve_forever, name=what, daemon=True)
    thread.start()
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _refusal(what: str, bind: Bind, error: OSError) -> Finding:
    advice = (
        "another proxy, such as kube-proxy, runs on this node or an earlier agent has not ended: stop it, or give this one another port"
        if error.errno == errno.EADDRINUSE
        else "correct the address in spec.agent"
    )
    reason = "PortTaken" if error.errno == errno.EADDRINUSE else "CannotListen"
    return Finding(Topic.AGENT, reason, f"{what} cannot listen on {bind}: {error.strerror}; {advice}")
