"""HTTP/1.1 as far as it takes to speak to an API server: whole requests, streamed answers, connections that are used again.

Of our own, as a node's memory and the first second after its start are dear: docs/adr/0015 has the numbers. No redirects, no
compression, no cookies.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from proxyconfig_client.errors import ClientError, StreamError
from proxyconfig_client.http.body import Framing, framing_of
from proxyconfig_client.http.stream import Stream, all_closed, connected

_HEAD_LIMIT = 65_536
_IDLE_S = 15.0
"""Servers close connections that are idle for minutes; one that is used before is not closed under our hands."""
_REPEATABLE = ("GET", "PUT", "DELETE")


class Timeouts(NamedTuple):
    """Limits in seconds; None: there is none."""

    connect_s: float = 5.0
    silence_s: float | None = None
    """Between two pieces of an answer."""
    total_s: float | None = None
    """From the request to the end of the answer."""


class Response:
    """Status, headers (their names in lower case) and a body that comes bit by bit."""

    def __init__(self, wire: Stream, head: bytes, rest: bytes, silence_s: float | None) -> None:
        self.status, self.reason, self.headers = parsed(head)
        self.framing: Framing = framing_of(self.status, self.headers)
        self._wire, self._rest, self._silence_s = wire, rest, silence_s

    @property
    def is_over(self) -> bool:
        """Whether the connection is ready for another request."""
        keeps = self.headers.get("connection", "").lower() != "close"
        return self.framing.done and self.framing.exact and keeps and self._wire.is_idle

    async def blocks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises StreamError, OSError, TimeoutError."""
        octets, self._rest = self._rest, b""
        while True:
            if body := self.framing.feed(octets):
                yield body
            if self.framing.done:
                return
            async with asyncio.timeout(self._silence_s):
                octets = await self._wire.receive()
            if not octets:
                self.framing.close()
                return

    async def read(self, limit: int) -> bytes:
        """The whole body. Raises StreamError if it is longer than `limit`."""
        whole = bytearray()
        async for block in self.blocks():
            whole += block
            if len(whole) > limit:
                raise StreamError(f"an answer is longer than {limit} bytes")
        return bytes(whole)


class HttpClient:
    """One server, `https://host:port/path`. Requests at the same time have connections of their own."""

    def __init__(self, server: str, tls: ssl.SSLContext | None, name: str | None, headers: Mapping[str, str]) -> None:
        """`name`: whom the certificate must be for, if not the host. `headers` go with every request."""
        parts = urlsplit(server)
        secure = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port or (443 if secure else 80)
        self._tls = (tls or ssl.create_default_context()) if secure else None
        self._name, self._root = name, parts.path.rstrip("/")
        self._headers = {"Host": parts.netloc.rpartition("@")[2], **headers}
        self._idle: list[tuple[Stream, float]] = []
        self._open: set[Stream] = set()

    async def close(self) -> None:
        """Close all connections. TLS says goodbye; that is waited for, a short while."""
        self._idle.clear()
        left = list(self._open)
        for wire in left:
            wire.close(politely=True)
        await all_closed(left)

    @contextlib.asynccontextmanager
    async def request(
        self, method: str, path: str, *, query: Mapping[str, str], headers: Mapping[str, str], body: bytes | None, times: Timeouts
    ) -> AsyncIterator[Response]:
        """Send a request and hold its answer open. Raises OSError (ssl.SSLError is one), TimeoutError and ClientError."""
        target = quote(self._root + path, safe="/:@~") + (f"?{urlencode(query)}" if query else "")
        octets = _head(method, target, {**self._headers, **headers}, body) + (body or b"")
        async with asyncio.timeout(times.total_s):
            wire, answer = await self._answered(method, octets, times)
            try:
                yield answer
            finally:
                self._give_back(wire, answer)

    async def _answered(self, method: str, octets: bytes, times: Timeouts) -> tuple[Stream, Response]:
        """A connection that was idle may have been closed a moment ago: then it is tried once more, if the request can bear it."""
        if (wire := self._taken()) is not None:
            try:
                return wire, await self._exchanged(wire, octets, times)
            except OSError as error:
                if method not in _REPEATABLE or isinstance(error, TimeoutError):
                    raise
        wire = await connected(self._host, self._port, self._tls, self._name, times.connect_s)
        self._open.add(wire)
        wire.closed.add_done_callback(lambda _: self._open.discard(wire))
        return wire, await self._exchanged(wire, octets, times)

    async def _exchanged(self, wire: Stream, octets: bytes, times: Timeouts) -> Response:
        try:
            wire.send(octets)
            async with asyncio.timeout(times.silence_s):
                return await _answer(wire, times)
        except BaseException:
            wire.close()
            raise

    def _taken(self) -> Stream | None:
        while self._idle:
            wire, since = self._idle.pop()
            if wire.is_idle and time.monotonic() < since + _IDLE_S:
                return wire
            wire.close(politely=True)
        return None

    def _give_back(self, wire: Stream, answer: Response) -> None:
        if answer.is_over:
            self._idle.append((wire, time.monotonic()))
        else:
            wire.close()


async def _answer(wire: Stream, times: Timeouts) -> Response:
    octets = b""
    while True:
        head, end, rest = octets.partition(b"\r\n\r\n")
        if end and head.startswith(b"HTTP/1.1 1"):
            octets = rest  # 100 Continue and its like come before the answer
            continue
        if end:
            return Response(wire, head, rest, times.silence_s)
        if len(octets) > _HEAD_LIMIT:
            raise StreamError(f"the headers of an answer are longer than {_HEAD_LIMIT} bytes")
        more = await wire.receive()
        if not more:
            raise ConnectionResetError("the server closed the connection without an answer")
        octets += more


def parsed(head: bytes) -> tuple[int, str, dict[str, str]]:
    """Status, reason and headers. Raises StreamError."""
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, status = first.partition(" ")
    number, _, reason = status.partition(" ")
    if not version.startswith("HTTP/1.") or not (number.isascii() and number.isdigit() and len(number) == 3):
        raise StreamError(f"{first[:60]!r} is not the beginning of an HTTP answer")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return int(number), reason, headers


def _head(method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
    """Raises ClientError for what would be another header, or another request."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    if any("\r" in line or "\n" in line for line in lines):
        raise ClientError("a token or name has a line break in it and cannot be sent: correct it")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
