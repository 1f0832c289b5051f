"""Keeps a sink equal to one resource of the API server: list, watch, resume, list again.

    cache = Cache[Node]()
    nodes = Reflector(connection, path_of("v1", "nodes"), msgspec.json.Decoder(Node, strict=False).decode, cache)
    task = asyncio.create_task(nodes.run())
    await nodes.synced.wait()

Where the server streams lists (WatchList), list and watch are one request; else lists come in pages. Memory holds one page or one event.
A list that is run again drops from the sink what it does not name, so deletions are seen that the watch has missed. A stream that
breaks, is cut, falls silent or talks nonsense is dropped and resumed at the last known version, after a jittered back-off.
An object that cannot be decoded is set aside alone: the sink keeps what it had of it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NoReturn

import aiohttp
import msgspec
import structlog

from proxyconfig_client.backoff import Backoff
from proxyconfig_client.connection import Connection
from proxyconfig_client.errors import ApiError, ClientError, StreamError, is_expired, is_missing
from proxyconfig_client.lines import lines_of
from proxyconfig_client.objects import Identified, Key, Metadata, Sink, T

PAGE = 500
SILENCE_S = 90.0
"""The server sends a bookmark about once a minute; a stream without any is taken for dead."""
ABSENT_S = 300.0
"""How often an optional resource is asked for again that the server does not have."""

_log = structlog.get_logger("reflector")
_INITIAL_END = "k8s.io/initial-events-end"
_INTERRUPTIONS = (ClientError, aiohttp.ClientError, TimeoutError, OSError)


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Bare(msgspec.Struct):
    metadata: Metadata


class _BookmarkMetadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    annotations: dict[str, str] | None = None


class _Bookmark(msgspec.Struct):
    metadata: _BookmarkMetadata


class _Status(msgspec.Struct):
    code: int = 500
    reason: str | None = None
    message: str | None = None


class _PageMetadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str | None = msgspec.field(name="continue", default=None)


class _Page(msgspec.Struct):
    metadata: _PageMetadata
    items: list[msgspec.Raw] | None = None


@dataclass(slots=True)
class Counters:
    """What a reflector has done so far, for metrics and benchmarks."""

    objects: int = 0
    bytes: int = 0
    decode_s: float = 0.0
    """Seconds from bytes to what the sink keeps."""
    lists: int = 0
    interruptions: int = 0
    undecodable: int = 0


class Reflector(Generic[T]):
    """One resource into one sink. `decode` makes an object of one object's JSON, and raises msgspec's errors if it cannot."""

    def __init__(
        self,
        connection: Connection,
        path: str,
        decode: Callable[[msgspec.Raw], T],
        sink: Sink[T],
        *,
        label_selector: str = "",
        field_selector: str = "",
        optional: bool = False,
        silence_s: float = SILENCE_S,
        backoff: Backoff | None = None,
        set_aside: Callable[[Key, str], None] | None = None,
    ) -> None:
        """`optional`: a server without this resource counts as one that has no such objects."""
        self.synced = asyncio.Event()
        self.counters = Counters()
        self.connected = False
        self._connection, self._path, self._decode, self._sink = connection, path, decode, sink
        self._selectors = {k: v for k, v in (("labelSelector", label_selector), ("fieldSelector", field_selector)) if v}
        self._optional, self._silence_s, self._backoff = optional, silence_s, backoff or Backoff()
        self._set_aside = set_aside or self._report
        self._version = ""  # where to go on; empty: list first
        self._streams_lists = True
        self._expired = False  # and no progress since
        self._failing = ""  # the last error told
        self._seen: set[Key] | None = None  # the keys of a list that is still coming in
        self._events, self._pages = msgspec.json.Decoder(_Event), msgspec.json.Decoder(_Page)
        self._bare, self._bookmarks = msgspec.json.Decoder(_Bare, strict=False), msgspec.json.Decoder(_Bookmark, strict=False)

    async def run(self) -> NoReturn:
        """Follow the resource until cancelled."""
        while True:
            wait_s = 0.0
            try:
                if not self._version and not self._streams_lists:
                    await self._list()
                await self._follow()
            except _INTERRUPTIONS as error:
                wait_s = self._after(error)
            finally:
                self.connected = False
            await asyncio.sleep(wait_s)

    def _after(self, error: Exception) -> float:
        """What an interruption means for the next attempt; returns the wait before it."""
        if is_expired(error):
            self._version = ""
            if not self._expired:
                self._backoff.succeeded()  # the server answers: what failed before is over
            self._expired = True
        if isinstance(error, ApiError) and error.status in (400, 422) and not self._version and self._streams_lists:
            self._streams_lists = False  # an older server, or one with WatchList off
            return 0.0
        self.counters.interruptions += 1
        if self._optional and is_missing(error):
            self._begin_list()
            self._end_list("")
            return ABSENT_S
        wait_s = max(self._backoff.wait_s(), error.retry_after_s if isinstance(error, ApiError) else 0.0)
        text = str(error) or type(error).__name__
        log, self._failing = (_log.debug if text == self._failing else _log.warning), text
        log("watch interrupted", path=self._path, error=text, retry_in_s=round(wait_s, 2))
        return wait_s

    def _opened(self) -> None:
        self.connected = True
        if self._failing:
            _log.info("watch resumed", path=self._path)
            self._failing = ""

    def _progress(self) -> None:
        """The stream is of use: what comes next is no consequence of what failed before."""
        self._backoff.succeeded()
        self._expired = False

    async def _list(self) -> None:
        """List page by page."""
        self._begin_list()
        query = self._selectors | {"limit": str(PAGE)}
        while True:
            raw = await self._connection.get(self._path, query=query)
            try:
                page = self._pages.decode(raw)
            except msgspec.MsgspecError as error:
                raise StreamError(f"the list cannot be understood: {error}") from error
            self.counters.bytes += len(raw)
            for item in page.items or ():
                self._put(item)
            if not page.metadata.continue_:
                break
            query = query | {"continue": page.metadata.continue_}
            await asyncio.sleep(0)
        self._end_list(page.metadata.resource_version)

    async def _follow(self) -> None:
        """Follow one watch stream until the server ends it."""
        query = self._selectors | {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(random.randint(300, 600))}  # noqa: S311
        if self._version:
            query["resourceVersion"] = self._version
        else:
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
            self._begin_list()
        limits = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=self._silence_s)
        started, events = time.monotonic(), 0
        async with self._connection.open("GET", self._path, query=query, timeout=limits) as response:
            self._opened()
            async for line in lines_of(response.content):
                self._take(line)
                events += 1
                if self._version:
                    self._progress()
        if not self._version:
            raise StreamError("the stream ended before its list was complete")
        if not events and time.monotonic() - started < 1:
            raise StreamError("the server closes the stream at once")

    def _take(self, line: bytes) -> None:
        """One event of a stream. Raises StreamError for nonsense, ApiError for an ERROR event."""
        try:
            event = self._events.decode(line)
            self.counters.bytes += len(line)
            match event.type:
                case "ADDED" | "MODIFIED":
                    self._put(event.object)
                case "DELETED":
                    self._drop(self._bare.decode(event.object).metadata)
                case "BOOKMARK":
                    self._mark(self._bookmarks.decode(event.object).metadata)
                case "ERROR":
                    status = msgspec.json.decode(event.object, type=_Status)
                    raise ApiError(status.code, status.reason or "", status.message or "")
                case _:
                    raise StreamError(f"unknown event type {event.type!r}")
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise StreamError(f"an event cannot be understood: {error}") from error

    def _put(self, raw: msgspec.Raw) -> None:
        started = time.perf_counter()
        try:
            item = self._decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
            self._put_aside(raw, error)
            return
        self.counters.objects += 1
        self._advance(item.metadata)
        self._sink.put(item)
        self.counters.decode_s += time.perf_counter() - started

    def _put_aside(self, raw: msgspec.Raw, error: Exception) -> None:
        self.counters.undecodable += 1
        try:
            metadata = self._bare.decode(raw).metadata
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._set_aside(Key("", "?"), f"an object of {self._path} without a usable name cannot be decoded: {error}")
            return
        self._advance(metadata)
        self._set_aside(Key(metadata.namespace, metadata.name), f"cannot be decoded: {error}")

    def _drop(self, metadata: Metadata) -> None:
        self._version = metadata.resource_version or self._version
        self._sink.drop(Key(metadata.namespace, metadata.name))

    def _advance(self, metadata: Identified) -> None:
        """Note that we have seen this object at this version. Inside a list its version is no place to resume from."""
        if self._seen is not None:
            self._seen.add(Key(metadata.namespace, metadata.name))
        elif metadata.resource_version:
            self._version = metadata.resource_version

    def _mark(self, bookmark: _BookmarkMetadata) -> None:
        if self._seen is None:
            self._version = bookmark.resource_version or self._version
        elif (bookmark.annotations or {}).get(_INITIAL_END) == "true":
            self._end_list(bookmark.resource_version)

    def _begin_list(self) -> None:
        self._seen = set()
        self._version = ""

    def _end_list(self, version: str) -> None:
        """The list is complete: what it does not name is gone."""
        seen, self._seen = self._seen or set(), None
        for key in [key for key in self._sink.known() if key not in seen]:
            self._sink.drop(key)
        self._version = version
        self.counters.lists += 1
        self.synced.set()

    def _report(self, key: Key, reason: str) -> None:
        _log.warning("object set aside", path=self._path, object=str(key), reason=reason)
