"""An API server for one resource, over real HTTP: versions, lists, watches, bookmarks, 410; and it can misbehave on demand."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from proxyconfig_client.apiserver.client import RESPONSE_LIMIT, ApiClient
from proxyconfig_client.connection.config import ClientConfig

PATH = "/api/v1/things"
Thing = dict[str, Any]


class FakeServer:
    """Holds things and their history. `streams_lists`: whether it has WatchList."""

    def __init__(self, *, streams_lists: bool = True) -> None:
        self.streams_lists = streams_lists
        self.separators = (",", ":")  # as Go writes them
        self.version = 100
        self.oldest = 0  # versions below it have been compacted
        self.things: dict[str, Thing] = {}
        self.history: list[tuple[int, str, Thing]] = []
        self.requests: list[dict[str, str]] = []
        self.bodies: list[tuple[str, str, Any]] = []
        self.created: dict[str, Any] = {}  # what was posted, by its path
        self.answers: list[web.Response] = []  # given to the next requests instead of the truth
        self.field_labels: tuple[str, ...] = ("metadata.name", "spec.x")  # those that it supports in field selectors
        self.url = ""
        self._changed = asyncio.Condition()
        self._streams: set[web.StreamResponse] = set()
        self._stopping = False
        self._endings = 0

    async def put(self, name: str, value: object) -> None:
        await self._record("MODIFIED" if name in self.things else "ADDED", name, {"metadata": {"name": name}, "value": value})

    async def delete(self, name: str) -> None:
        await self._record("DELETED", name, self.things[name])

    async def say(self, raw: bytes) -> None:
        """Write raw bytes to all open streams."""
        for stream in self._streams:
            await stream.write(raw)

    async def end_streams(self) -> None:
        """End all open streams in order, as at their timeoutSeconds."""
        async with self._changed:
            self._endings += 1
            self._changed.notify_all()

    async def cut(self) -> None:
        """Break all open streams."""
        for stream in list(self._streams):
            transport = stream._req.transport if stream._req else None  # there is no polite way to be impolite
            if transport:
                transport.abort()

    def compact(self) -> None:
        self.oldest = self.version
        self.history.clear()

    def backup(self) -> tuple[int, dict[str, Thing]]:
        return self.version, dict(self.things)

    async def restore(self, backup: tuple[int, dict[str, Thing]]) -> None:
        """Be as at the backup, as after a restore of etcd and a restart of the API server."""
        self.version, self.things = backup[0], dict(backup[1])
        self.history = [entry for entry in self.history if entry[0] <= self.version]
        await self.cut()

    @property
    def open_streams(self) -> int:
        return len(self._streams)

    async def _record(self, kind: str, name: str, thing: Thing) -> None:
        async with self._changed:
            self.version += 1
            thing = thing | {"metadata": {"name": name, "namespace": "n", "resourceVersion": str(self.version)}}
            self.things.pop(name, None)
            if kind != "DELETED":
                self.things[name] = thing
            self.history.append((self.version, kind, thing))
            self._changed.notify_all()

    async def _get(self, request: web.Request) -> web.StreamResponse:
        query = dict(request.query)
        self.requests.append(query | {"authorization": request.headers.get("Authorization", "")})
        if self.answers:
            return self.answers.pop(0)
        label = query.get("fieldSelector", "").partition("!=")[0]
        if label and label not in self.field_labels:
            return status(400, "BadRequest", f"field label not supported: {label}")
        if not query.get("watch"):
            return self._list(int(query.get("limit", len(self.things))))
        if query.get("sendInitialEvents") and not self.streams_lists:
            return status(422, "Invalid", "sendInitialEvents is forbidden for watch")
        since = int(query.get("resourceVersion", "0") or 0)
        if since and since < self.oldest:
            return status(410, "Expired", "too old resource version")
        return await self._stream(request, since, initial="sendInitialEvents" in query)

    def _list(self, limit: int) -> web.Response:
        content = {"metadata": {"resourceVersion": str(self.version)}, "items": list(self.things.values())[:limit]}
        return web.Response(body=json.dumps(content, separators=self.separators).encode(), content_type="application/json")

    async def _stream(self, request: web.Request, since: int, *, initial: bool) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        self._streams.add(response)
        try:
            if initial:
                since = self.version
                for thing in list(self.things.values()):
                    await response.write(event("ADDED", thing))
                await response.write(bookmark(since, end=True))
            endings = self._endings
            while not self._stopping and since >= self.oldest and endings == self._endings:
                for version, kind, thing in [entry for entry in self.history if entry[0] > since]:
                    await response.write(event(kind, thing))
                    since = version
                await self._news(since, endings)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._streams.discard(response)
        return response

    async def _news(self, since: int, endings: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self.version > since or self._stopping or endings != self._endings)

    async def _write(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        self.bodies.append((request.method, str(request.rel_url), body))
        if self.answers:
            return self.answers.pop(0)
        if request.method == "POST":
            path = f"{request.path}/{body['metadata']['name']}"
            if path in self.created:
                return status(409, "AlreadyExists", "it exists already")
            self.created[path] = body
        return web.json_response({})

    async def _created(self, request: web.Request) -> web.Response:
        self.requests.append({"path": request.path})
        found = self.created.get(request.path)
        return web.json_response(found) if found else status(404, "NotFound", "not found")

    async def stop(self) -> None:
        async with self._changed:
            self._stopping = True
            self._changed.notify_all()


def event(kind: str, thing: Thing) -> bytes:
    return json.dumps({"type": kind, "object": thing}).encode() + b"\n"


def bookmark(version: int, *, end: bool = False) -> bytes:
    metadata: dict[str, Any] = {"resourceVersion": str(version), "name": "", "creationTimestamp": None}
    if end:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    return event("BOOKMARK", {"metadata": metadata})


def status(code: int, reason: str, message: str) -> web.Response:
    return web.json_response({"kind": "Status", "code": code, "reason": reason, "message": message}, status=code)


@contextlib.asynccontextmanager
async def served(server: FakeServer, *, response_limit: int = RESPONSE_LIMIT, **config: Any) -> AsyncIterator[ApiClient]:
    """Run `server` on a free loopback port; yields a connection to it."""
    app = web.Application()
    app.router.add_get(PATH, server._get)
    app.router.add_get("/apis/{rest:.*}", server._created)
    for method in ("POST", "PATCH"):
        app.router.add_route(method, "/{rest:.*}", server._write)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    server.url = f"http://127.0.0.1:{port}"
    try:
        async with ApiClient(ClientConfig(server=server.url, **config), user_agent="test", response_limit=response_limit) as connection:
            yield connection
    finally:
        await server.stop()
        await runner.cleanup()
