"""HTTP/1.1 as far as it takes to speak to an API server: whole requests, streamed responses, reused connections.

Small, as a node's memory and the first second after its start matter: docs/adr/0015 has the numbers. No redirects, no compression, no
cookies.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from proxyconfig_client.connection.errors import ClientError, StreamError
from proxyconfig_client.connection.tls import RotatingContext, TlsMaterial
from proxyconfig_client.http.parser import ResponseParser
from proxyconfig_client.http.stream import Stream, all_closed, connect

IDLE_S = 15.0
"""Servers close connections that are idle for minutes; one that is reused before is not closed in the same moment."""
MAX_AGE_S = 240.0
"""An older connection is not reused. Watches last 300 to 600 s, so each has one connection, and load balancers spread the agents
over the API servers again after a rolling restart; client-go leaves that to the server (GOAWAY)."""
_IDEMPOTENT = ("GET", "PUT", "DELETE")


class Timeouts(NamedTuple):
    """In seconds; None: there is none."""

    connect_s: float = 5.0
    silence_s: float | None = None
    """Between two pieces of a response."""
    total_s: float | None = None
    """From the request to the end of the response."""


class Response:
    """Status, headers (names in lower case) and a body that is read piece by piece."""

    def __init__(self, stream: Stream, parser: ResponseParser, first: bytes, silence_s: float | None) -> None:
        self.status, self.reason, self.headers = parser.status, parser.reason, parser.headers
        self._stream, self._parser, self._first, self._silence_s = stream, parser, first, silence_s

    @property
    def is_reusable(self) -> bool:
        """Whether the connection is ready for another request."""
        return self._parser.reusable and self._stream.is_idle

    async def blocks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises StreamError, OSError, TimeoutError."""
        body, self._first = self._first, b""
        while True:
            if body:
                yield body
            if self._parser.done:
                return
            async with asyncio.timeout(self._silence_s):
                octets = await self._stream.receive()
            if not octets:
                self._parser.close()
                return
            body = self._parser.feed(octets)

    async def read(self, limit: int) -> bytes:
        """The whole body. Raises StreamError if it is longer than `limit`."""
        whole = bytearray()
        async for block in self.blocks():
            whole += block
            if len(whole) > limit:
                raise StreamError(f"a response is longer than {limit} bytes")
        return bytes(whole)


class HttpClient:
    """One server, `https://host:port/path`. Concurrent requests have a connection each."""

    def __init__(self, server: str, tls: RotatingContext | None, headers: Mapping[str, str]) -> None:
        """`headers` are sent with every request. Without `tls` an https server is verified by the system's authorities."""
        parts = urlsplit(server)
        secure = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port or (443 if secure else 80)
        self._tls = (tls or RotatingContext(TlsMaterial)) if secure else None
        self._root = parts.path.rstrip("/")
        self._headers = {"Host": parts.netloc.rpartition("@")[2], **headers}
        self._idle: list[tuple[Stream, float]] = []
        self._open: set[Stream] = set()

    async def close(self) -> None:
        """Close all connections; waits a short while for TLS's close_notify."""
        self._idle.clear()
        left = list(self._open)
        for stream in left:
            stream.close(gracefully=True)
        await all_closed(left)

    @contextlib.asynccontextmanager
    async def request(
        self, method: str, path: str, *, query: Mapping[str, str], headers: Mapping[str, str], body: bytes | None, timeouts: Timeouts
    ) -> AsyncIterator[Response]:
        """Send a request and hold its response open. Raises OSError (ssl.SSLError is one), TimeoutError and ClientError."""
        target = quote(self._root + path, safe="/:@~") + (f"?{urlencode(query)}" if query else "")
        octets = _head(method, target, {**self._headers, **headers}, body) + (body or b"")
        async with asyncio.timeout(timeouts.total_s):
            stream, response = await self._respond(method, octets, timeouts)
            try:
                yield response
            finally:
                self._release(stream, response)

    async def _respond(self, method: str, octets: bytes, timeouts: Timeouts) -> tuple[Stream, Response]:
        """An idle connection may have been closed a moment ago: then an idempotent request is sent once more, on a new one."""
        if (stream := self._reused()) is not None:
            try:
                return stream, await self._exchange(stream, octets, timeouts)
            except OSError as error:
                if method not in _IDEMPOTENT or isinstance(error, TimeoutError):
                    raise
        stream = await connect(self._host, self._port, self._tls, timeouts.connect_s)
        self._open.add(stream)
        stream.closed.add_done_callback(lambda _: self._open.discard(stream))
        return stream, await self._exchange(stream, octets, timeouts)

    async def _exchange(self, stream: Stream, octets: bytes, timeouts: Timeouts) -> Response:
        try:
            stream.send(octets)
            async with asyncio.timeout(timeouts.silence_s):
                return await _response(stream, timeouts)
        except BaseException:
            stream.close()
            raise

    def _reused(self) -> Stream | None:
        newest = self._tls.newest() if self._tls is not None and self._idle else None
        while self._idle:
            stream, since = self._idle.pop()
            if stream.is_idle and stream.tls is newest and time.monotonic() < since + IDLE_S:
                return stream
            stream.close(gracefully=True)
        return None

    def _release(self, stream: Stream, response: Response) -> None:
        if response.is_reusable and stream.age_s < MAX_AGE_S:
            self._idle.append((stream, time.monotonic()))
        else:
            stream.close(gracefully=response.is_reusable)


async def _response(stream: Stream, timeouts: Timeouts) -> Response:
    parser, body = ResponseParser(), b""
    while not parser.has_head:
        octets = await stream.receive()
        if not octets:
            raise ConnectionResetError("the server closed the connection without a response")
        body = parser.feed(octets)
    return Response(stream, parser, body, timeouts.silence_s)


def _head(method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
    """Raises ClientError for a line break, which would begin another header or another request."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    if any("\r" in line or "\n" in line for line in lines):
        raise ClientError("a token or name has a line break in it and cannot be sent: correct it")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
