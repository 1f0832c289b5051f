"""One API server over HTTP: opens requests as us, and turns error answers into ApiError.

`reflector`, `apply` and `events` stand on it; nothing else in the project speaks HTTP to the API server.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import weakref
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

from proxyconfig_client.access import Access
from proxyconfig_client.errors import ApiError, StreamError

ANSWER = aiohttp.ClientTimeout(total=30, sock_connect=5)
"""For requests that are no streams."""


RETRY_AFTER_S = 60.0
"""The longest pause that a server can ask for."""
ANSWER_LIMIT = 256 * 1024 * 1024
"""Of a whole answer: the longest is a page of a list, 500 objects."""

GOODBYE_S, GOODBYES = 0.5, 50


class _Status(msgspec.Struct):
    reason: str | None = None
    message: str | None = None


class Connection:
    """An `async with` over a session. Raises ApiError for error statuses, and what aiohttp raises for the network."""

    def __init__(self, access: Access, *, user_agent: str, answer_limit: int = ANSWER_LIMIT) -> None:
        self._access, self.answer_limit = access, answer_limit
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        connector = aiohttp.TCPConnector(ssl=access.tls if access.tls is not None else True, limit=16, socket_factory=self._socket)
        # Watch streams are never compressed by the server, and compressing lists costs it more than a node's bandwidth is worth.
        headers = {"User-Agent": user_agent, "Accept": "application/json", "Accept-Encoding": "identity"}
        self._session = aiohttp.ClientSession(connector=connector, headers=headers, auto_decompress=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections. TLS says goodbye after the session has closed them; that is waited for, a short while."""
        await self._session.close()
        for _ in range(GOODBYES):
            if all(each.fileno() < 0 for each in self._sockets):
                return
            await asyncio.sleep(GOODBYE_S / GOODBYES)

    def _socket(self, info: tuple[Any, ...]) -> socket.socket:
        made = _lively_socket(info)
        self._sockets.add(made)
        return made

    @contextlib.asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        timeout: aiohttp.ClientTimeout = ANSWER,  # noqa: ASYNC109 - several limits, not one
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and hold its answer open; `path` begins with /api or /apis."""
        headers = {"Content-Type": content_type} if body is not None else {}
        if token := self._access.bearer():
            headers["Authorization"] = f"Bearer {token}"
        async with self._session.request(
            method,
            self._access.server + path,
            params=query,
            data=body,
            headers=headers,
            timeout=timeout,
            allow_redirects=False,
            server_hostname=self._access.server_name,
        ) as response:
            if response.status >= 300:
                raise await _error_of(response)
            yield response

    async def call(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Any = None, content_type: str = "application/json"
    ) -> bytes:
        """One request with a JSON body (anything that msgspec encodes), its whole answer. Raises StreamError if that has no end."""
        encoded = None if body is None else msgspec.json.encode(body)
        async with self.open(method, path, query=query, body=encoded, content_type=content_type) as response:
            return await _whole(response, self.answer_limit)

    async def get(self, path: str, *, query: Mapping[str, str] | None = None) -> bytes:
        return await self.call("GET", path, query=query)


def path_of(api_version: str, plural: str, name: str = "", *, namespace: str = "", subresource: str = "") -> str:
    """The path of a resource, or of a collection: `path_of("apps/v1", "daemonsets", "x", namespace="kube-system")`."""
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    parts = [
        root,
        *(["namespaces", namespace] if namespace else []),
        plural,
        *([name] if name else []),
        *([subresource] if subresource else []),
    ]
    return "/".join(parts)


async def _whole(response: aiohttp.ClientResponse, limit: int) -> bytes:
    whole = bytearray()
    async for chunk in response.content.iter_any():
        whole += chunk
        if len(whole) > limit:
            raise StreamError(f"an answer is longer than {limit} bytes")
    return bytes(whole)


async def _error_of(response: aiohttp.ClientResponse) -> ApiError:
    try:
        status = msgspec.json.decode(await response.content.read(65536), type=_Status)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        status = _Status()
    return ApiError(response.status, status.reason or response.reason or "", status.message or "", _retry_after_s(response))


def _retry_after_s(response: aiohttp.ClientResponse) -> float:
    """What the server asks for, within reason: nobody is to silence us for a day."""
    after = response.headers.get("Retry-After", "")
    return min(float(after), RETRY_AFTER_S) if after.isascii() and after.isdigit() else 0.0


def _lively_socket(info: tuple[Any, ...]) -> socket.socket:
    """A socket that notices within half a minute that its peer is gone; a watch may be silent for longer than that."""
    family, kind, protocol, _, _ = info
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)
    made.setblocking(False)
    return made
