"""Keeps a sink equal to one resource of the API server: list, watch, resume, list again.

    cache = Cache[Node]()
    nodes = Reflector(connection, path_of("v1", "nodes"), msgspec.json.Decoder(Node, strict=False).decode, cache)
    task = asyncio.create_task(nodes.run())
    await nodes.synced.wait()

Where the server streams lists (WatchList), list and watch are one request; else, or where we say so, a list is one answer, taken in as
it comes. Memory holds one object.
A list that is run again drops from the sink what it does not name, so deletions are seen that the watch has missed. A stream that
breaks, is cut, falls silent or talks nonsense is dropped and resumed at the last known version, after a jittered back-off.
An object that cannot be decoded is set aside alone: the sink keeps what it had of it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Generic, NoReturn

import msgspec
import structlog

from proxyconfig_client.api import ApiClient
from proxyconfig_client.backoff import Backoff
from proxyconfig_client.errors import ApiError, ClientError, StreamError, is_expired, is_missing
from proxyconfig_client.http.client import Timeouts
from proxyconfig_client.watch.decoder import Counters, Decoder
from proxyconfig_client.watch.lines import lines_of
from proxyconfig_client.watch.list_stream import ListStream
from proxyconfig_client.watch.objects import Handler, Key, T

SILENCE_S = 90.0
"""The server sends a bookmark about once a minute; a stream without any is taken for dead."""
ABSENT_S = 300.0
"""How often an optional resource is asked for again that the server does not have."""

_log = structlog.get_logger("reflector")
_INTERRUPTIONS = (ClientError, TimeoutError, OSError)


class Reflector(Generic[T]):
    """One resource into one sink. `decode` makes an object of one object's JSON, and raises msgspec's errors if it cannot."""

    def __init__(
        self,
        connection: ApiClient,
        path: str,
        decode: Callable[[msgspec.Raw | bytes], T],
        sink: Handler[T],
        *,
        label_selector: str = "",
        field_selector: str = "",
        optional: bool = False,
        streams_lists: bool = True,
        silence_s: float = SILENCE_S,
        backoff: Backoff | None = None,
        set_aside: Callable[[Key, str], None] | None = None,
    ) -> None:
        """`optional`: a server without this resource counts as one that has no such objects.

        `streams_lists` (WatchList) where the server can: of thousands of objects a list costs both sides half the CPU time."""
        self.synced = asyncio.Event()
        self.connected = False
        self._connection, self._path = connection, path
        self._intake = Decoder(path, decode, sink, set_aside)
        self._selectors = {k: v for k, v in (("labelSelector", label_selector), ("fieldSelector", field_selector)) if v}
        self._optional, self._silence_s, self._backoff = optional, silence_s, backoff or Backoff()
        self._streams_lists = streams_lists
        self._expired = False  # and no progress since
        self._failing = ""  # the last error told

    @property
    def counters(self) -> Counters:
        return self._intake.counters

    async def run(self) -> NoReturn:
        """Follow the resource until cancelled."""
        while True:
            wait_s = 0.0
            try:
                if not self._intake.version and not self._streams_lists:
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
            self._intake.version = ""
            if not self._expired:
                self._backoff.succeeded()  # the server answers: what failed before is over
            self._expired = True
        elif _refused(error) and self._intake.version:
            self._intake.version = ""  # whoever told us that version has talked nonsense
        elif _refused(error) and self._streams_lists:
            self._streams_lists = False  # an older server, or one with WatchList off
            return 0.0
        self.counters.interruptions += 1
        if self._optional and is_missing(error):
            self._intake.begin_list()
            self._intake.end_list("")
            self.synced.set()
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
        """Ask for the list in one answer, and take in what has come while the rest is coming."""
        self._intake.begin_list()
        listing = ListStream(self._connection.response_limit)
        times = Timeouts(silence_s=self._silence_s)
        async with self._connection.open("GET", self._path, query=self._selectors, timeouts=times) as answer:
            async for block in answer.blocks():
                self._intake.take_some(listing, block)
        self._intake.take_last(listing)
        self.synced.set()

    async def _follow(self) -> None:
        """Follow one watch stream until the server ends it."""
        query = self._selectors | {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(random.randint(300, 600))}  # noqa: S311
        if self._intake.version:
            query["resourceVersion"] = self._intake.version
        else:
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
            self._intake.begin_list()
        times = Timeouts(silence_s=self._silence_s)
        started, events = time.monotonic(), 0
        async with self._connection.open("GET", self._path, query=query, timeouts=times) as answer:
            self._opened()
            async for line in lines_of(answer.blocks()):
                self._intake.take(line)
                events += 1
                if self._intake.version:
                    self.synced.set()
                    self._progress()
        if not self._intake.version:
            raise StreamError("the stream ended before its list was complete")
        if not events and time.monotonic() - started < 1:
            raise StreamError("the server closes the stream at once")


def _refused(error: Exception) -> bool:
    """Whether the server does not accept what we ask: parameters that it does not know, or a version that is none."""
    return isinstance(error, ApiError) and error.status in (400, 422)
