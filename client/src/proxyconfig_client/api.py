"""One API server over HTTP: opens requests as us, and turns error answers into ApiError.

`reflector`, `apply` and `events` stand on it; nothing else in the project speaks HTTP to the API server.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self

import msgspec

from proxyconfig_client.config import ClientConfig
from proxyconfig_client.errors import ApiError, ClientError, StreamError
from proxyconfig_client.http.client import HttpClient, Response, Timeouts

ANSWER = Timeouts(total_s=30)
"""For requests that are no streams."""

RETRY_AFTER_S = 60.0
"""The longest pause that a server can ask for."""
ANSWER_LIMIT = 256 * 1024 * 1024
"""Of a whole answer: the longest is a page of a list, 500 objects."""
_STATUS_LIMIT = 65_536


class _Status(msgspec.Struct):
    reason: str | None = None
    message: str | None = None


class ApiClient:
    """An `async with` over connections. Raises ApiError for error statuses, OSError and TimeoutError for the network."""

    def __init__(self, access: ClientConfig, *, user_agent: str, answer_limit: int = ANSWER_LIMIT) -> None:
        self._access, self.answer_limit = access, answer_limit
        # Watch streams are never compressed by the server, and compressing lists costs it more than a node's bandwidth is worth.
        headers = {"User-Agent": user_agent, "Accept": "application/json", "Accept-Encoding": "identity"}
        self._http = HttpClient(access.server, access.tls, access.server_name, headers)

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
        times: Timeouts = ANSWER,
    ) -> AsyncIterator[Response]:
        """Send a request and hold its answer open; `path` begins with /api or /apis."""
        headers = {"Content-Type": content_type} if body is not None else {}
        if token := self._access.bearer():
            headers["Authorization"] = f"Bearer {token}"
        async with self._http.request(method, path, query=query or {}, headers=headers, body=body, times=times) as answer:
            if answer.status >= 300:
                raise await _error_of(answer)
            yield answer

    async def call(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Any = None, content_type: str = "application/json"
    ) -> bytes:
        """One request with a JSON body (anything that msgspec encodes), its whole answer. Raises StreamError if that has no end."""
        encoded = None if body is None else msgspec.json.encode(body)
        async with self.open(method, path, query=query, body=encoded, content_type=content_type) as answer:
            return await answer.read(self.answer_limit)

    async def get(self, path: str, *, query: Mapping[str, str] | None = None) -> bytes:
        return await self.call("GET", path, query=query)


def path_of(api_version: str, plural: str, name: str = "", *, namespace: str = "", subresource: str = "") -> str:
    """The path of a resource, or of a collection: `path_of("apps/v1", "daemonsets", "x", namespace="kube-system")`.

    Raises ClientError for a name that would lead elsewhere; no object has such a name, but bytes can say so."""
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
            raise ClientError(f"{part[:80]!r} is no name of an object")
    return "/".join(parts)


async def _error_of(answer: Response) -> ApiError:
    try:
        status = msgspec.json.decode(await answer.read(_STATUS_LIMIT), type=_Status)
    except (msgspec.MsgspecError, UnicodeDecodeError, StreamError):
        status = _Status()
    return ApiError(answer.status, status.reason or answer.reason, status.message or "", _retry_after_s(answer))


def _retry_after_s(answer: Response) -> float:
    """What the server asks for, within reason: nobody is to silence us for a day."""
    after = answer.headers.get("retry-after", "")
    return min(float(after), RETRY_AFTER_S) if after.isascii() and after.isdigit() else 0.0
