"""One API server over HTTP: authenticates and counts requests, and turns error responses into ApiError.

`watch`, `apply` and `events` stand on it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec

from proxyconfig_client.apiserver.request_counts import Requests
from proxyconfig_client.connection.config import ClientConfig
from proxyconfig_client.connection.errors import ApiError, ClientError, StreamError
from proxyconfig_client.http.client import HttpClient, Response, Timeouts

REQUEST = Timeouts(total_s=30)
"""For requests that are no streams."""

RETRY_AFTER_S = 60.0
"""The longest pause that a server can ask for."""
RESPONSE_LIMIT = 256 * 1024 * 1024
"""Bytes of a whole response; the longest is a list that is not written as API servers write it."""
_STATUS_LIMIT = 65_536


class _Details(msgspec.Struct):
    name: str | None = None


class _Status(msgspec.Struct):
    reason: str | None = None
    message: str | None = None
    details: _Details | None = None


class ApiClient:
    """An `async with` over connections. Raises ApiError for error statuses, OSError and TimeoutError for the network."""

    def __init__(self, config: ClientConfig, *, user_agent: str, response_limit: int = RESPONSE_LIMIT) -> None:
        self._config, self.response_limit = config, response_limit
        # Watch streams are never compressed by the server, and compressing lists costs it more than a node's bandwidth is worth.
        headers = {"User-Agent": user_agent, "Accept-Encoding": "identity"}
        self.requests = Requests(urlsplit(config.server).netloc)
        self._http = HttpClient(config.server, config.tls, headers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.close()

    @contextlib.asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeouts: Timeouts = REQUEST,
    ) -> AsyncIterator[Response]:
        """Send a request and hold its response open; `path` begins with /api or /apis."""
        query = query or {}
        with self.requests.measure(method, timed="watch" not in query) as result:
            headers = self._headers(accept, content_type if body is not None else "")
            async with self._http.request(method, path, query=query, headers=headers, body=body, timeouts=timeouts) as response:
                result.status(response.status)
                if response.status >= 300:
                    raise await _error_of(response)
                yield response

    def _headers(self, accept: str, content_type: str) -> dict[str, str]:
        headers = {"Accept": accept} | ({"Content-Type": content_type} if content_type else {})
        if token := self._config.bearer():
            headers["Authorization"] = f"Bearer {token}"
        return headers

    async def call(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Any = None, content_type: str = "application/json"
    ) -> bytes:
        """One request with a JSON body (anything that msgspec encodes), its whole response. Raises StreamError if that is too long."""
        encoded = None if body is None else msgspec.json.encode(body)
        async with self.open(method, path, query=query, body=encoded, content_type=content_type) as response:
            return await response.read(self.response_limit)

    async def get(self, path: str, *, query: Mapping[str, str] | None = None) -> bytes:
        return await self.call("GET", path, query=query)


def path_of(api_version: str, plural: str, name: str = "", *, namespace: str = "", subresource: str = "") -> str:
    """The path of a resource, or of a collection: `path_of("apps/v1", "daemonsets", "x", namespace="kube-system")`.

    Raises ClientError for a name with a path in it: no object has one, but an undecoded response may."""
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    parts = [
        root,
        *(["namespaces", namespace] if namespace else []),
        plural,
        *([name] if name else []),
        *([subresource] if subresource else []),
    ]
    for part in parts[1:]:
        if "/" in part or part in (".", ".."):
            raise ClientError(f"{part[:80]!r} is not an object name")
    return "/".join(parts)


async def _error_of(response: Response) -> ApiError:
    try:
        status = msgspec.json.decode(await response.read(_STATUS_LIMIT), type=_Status)
    except (msgspec.MsgspecError, UnicodeDecodeError, StreamError):
        status = _Status()
    name = (status.details and status.details.name) or ""
    return ApiError(response.status, status.reason or response.reason, status.message or "", _retry_after_s(response), name)


def _retry_after_s(response: Response) -> float:
    """The server's Retry-After in seconds, RETRY_AFTER_S at most."""
    after = response.headers.get("retry-after", "")
    return min(float(after), RETRY_AFTER_S) if after.isascii() and after.isdigit() else 0.0
