"""Keeps a handler equal to one resource of the API server: list, watch, resume, list again.

    cache = Cache[Node]()
    nodes = Reflector(client, path_of("v1", "nodes"), msgspec.json.Decoder(Node, strict=False).decode, cache)
    task = asyncio.create_task(nodes.run())
    await nodes.synced.wait()

Where the server streams lists (WatchList), list and watch are one request; otherwise, or by choice, a list is one response, decoded as
it comes in. Memory holds one object.
A repeated list deletes from the handler what it does not contain, so deletions that the watch has missed are seen. A watch that breaks,
falls silent or cannot be understood is resumed at the last known version, after a jittered back-off.
An object that cannot be decoded is reported alone: the handler keeps its last good state.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any, Generic, NoReturn

import msgspec
import structlog
from msgspec.structs import replace

from proxyconfig_client.apiserver.client import ApiClient
from proxyconfig_client.connection.errors import ClientError, StreamError
from proxyconfig_client.http.client import Timeouts
from proxyconfig_client.process.backoff import Backoff
from proxyconfig_client.watch.decoder import Counters, Decoder
from proxyconfig_client.watch.disposition import Absent, Attempt, Disposition, Relist, Resume, Simplify, disposition_of
from proxyconfig_client.watch.lines import lines_of
from proxyconfig_client.watch.list_stream import ListStream, version_of
from proxyconfig_client.watch.objects import Handler, Key, T
from proxyconfig_client.watch.state import ReflectorState

SILENCE_S = 90.0
"""The server sends a bookmark about once a minute; a longer silence means a dead stream."""
ABSENT_S = 300.0
"""How often an optional resource is asked for again that the server does not have."""
RELIST_SPREAD_S = 5.0
"""Clients whose versions expire together, as after a restart of API servers, list at random within this time."""

_log = structlog.get_logger("reflector")
_INTERRUPTIONS = (ClientError, TimeoutError, OSError)


class Reflector(Generic[T]):
    """One resource into one handler. `decode` makes an object of one object's JSON; it raises msgspec's errors if it cannot."""

    def __init__(
        self,
        client: ApiClient,
        path: str,
        decode: Callable[[msgspec.Raw | bytes], T],
        handler: Handler[T],
        *,
        label_selector: str = "",
        field_selector: str = "",
        optional_field_selector: str = "",
        optional: bool = False,
        streams_lists: bool = True,
        silence_s: float = SILENCE_S,
        relist_spread_s: float = RELIST_SPREAD_S,
        backoff: Backoff | None = None,
        on_undecodable: Callable[[Key, str], None] | None = None,
    ) -> None:
        """`optional`: a server without this resource counts as one that has no such objects.

        `optional_field_selector` is left out where the server does not support it: it may only save traffic.
        `streams_lists` (WatchList) where the server can: a plain list of thousands of objects costs both sides half the CPU time."""
        self.synced = asyncio.Event()
        self.on_state: Callable[[ReflectorState], None] = lambda _state: None
        """Called in the event loop whenever anything but a counter of `state` has changed."""
        self._client, self._path = client, path
        self._decoder = Decoder(path, decode, handler, on_undecodable)
        self._labels, self._fields, self._optional_fields = label_selector, field_selector, optional_field_selector
        self._optional, self._streams_lists = optional, streams_lists
        self._silence_s, self._relist_spread_s, self._backoff = silence_s, relist_spread_s, backoff or Backoff()
        self._relisting = False  # and no progress since
        self._verify = False
        self._state = ReflectorState(path, changed_at=time.monotonic())

    @property
    def counters(self) -> Counters:
        return self._decoder.counters

    @property
    def state(self) -> ReflectorState:
        counted = self._decoder.counters
        return replace(self._state, lists=counted.lists, interruptions=counted.interruptions, undecodable=counted.undecodable)

    async def run(self) -> NoReturn:
        """Follow the resource until cancelled."""
        while True:
            wait_s = 0.0
            try:
                if not self._decoder.version and not self._streams_lists:
                    await self._list()
                await self._follow()
            except _INTERRUPTIONS as error:
                wait_s = self._interrupted(error)
            finally:
                self._note(connected=False)
            await asyncio.sleep(wait_s)

    def _interrupted(self, error: Exception) -> float:
        """Prepare the next attempt; returns the wait before it."""
        attempt = Attempt(bool(self._decoder.version), self._streams_lists, bool(self._optional_fields), self._optional)
        disposition = disposition_of(error, attempt)
        wait_s = self._prepare(disposition)
        if isinstance(disposition, Simplify):
            _log.info("request simplified", path=self._path, error=str(error))
            return wait_s
        self.counters.interruptions += 1
        if not isinstance(disposition, Absent):
            self._report(str(error) or type(error).__name__, wait_s)
        return wait_s

    def _prepare(self, disposition: Disposition) -> float:
        match disposition:
            case Absent():
                self._decoder.clear()
                self.synced.set()
                self._note(synced=True, absent=True, error="")
                return ABSENT_S
            case Simplify():
                self._decoder.version, self._streams_lists = "", disposition.streams_lists
                self._optional_fields = self._optional_fields if disposition.optional_fields else ""
                return 0.0
            case Relist():
                self._decoder.version = ""
                return self._relist_wait_s()
            case Resume():
                self._verify = self._verify or disposition.verify
                return max(self._backoff.wait_s(), disposition.retry_after_s)

    def _relist_wait_s(self) -> float:
        """The server responds, so earlier failures are over; only lists that do not help have a growing back-off."""
        if not self._relisting:
            self._backoff.succeeded()
        self._relisting = True
        return self._backoff.wait_s() + self._relist_spread_s * random.random()  # noqa: S311

    def _report(self, error: str, wait_s: float) -> None:
        log = _log.debug if error == self._state.error else _log.warning
        log("watch interrupted", path=self._path, error=error, retry_in_s=round(wait_s, 2))
        self._note(error=error, absent=False)

    def _connected(self) -> None:
        if self._state.error:
            _log.info("watch resumed", path=self._path)
        self._note(connected=True, absent=False, error="")

    def _progress(self) -> None:
        """The stream brings something: the next failure is not a consequence of earlier ones."""
        self.synced.set()
        self._note(synced=True)
        self._backoff.succeeded()
        self._relisting = False

    def _note(self, **changes: Any) -> None:
        changed = replace(self._state, **changes)
        if changed != self._state:
            self._state = replace(changed, changed_at=time.monotonic())
            self.on_state(self.state)

    def _selectors(self) -> dict[str, str]:
        fields = ",".join(filter(None, (self._fields, self._optional_fields)))
        return {name: value for name, value in (("labelSelector", self._labels), ("fieldSelector", fields)) if value}

    async def _list(self) -> None:
        """List in one response, and decode it while it comes in."""
        self._decoder.begin_list()
        listed = ListStream(self._client.response_limit)
        timeouts = Timeouts(silence_s=self._silence_s)
        async with self._client.open("GET", self._path, query=self._selectors(), timeouts=timeouts) as response:
            async for block in response.blocks():
                self._decoder.take_some(listed, block)
        self._decoder.take_last(listed)
        self.synced.set()
        self._note(synced=True)

    async def _verify_version(self) -> None:
        """Raises RestoredError if the server is behind the known version. A watch from a version of the future would stay silent."""
        content = await self._client.get(self._path, query=self._selectors() | {"limit": "1"})
        self._decoder.verify(version_of(content))
        self._verify = False

    async def _follow(self) -> None:
        """Follow one watch until the server ends it."""
        query = self._selectors() | {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(random.randint(300, 600))}  # noqa: S311
        if self._decoder.version:
            if self._verify:
                await self._verify_version()
            query["resourceVersion"] = self._decoder.version
        else:
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
            self._decoder.begin_list()
        started, events = time.monotonic(), 0
        async with self._client.open("GET", self._path, query=query, timeouts=Timeouts(silence_s=self._silence_s)) as response:
            self._connected()
            async for line in lines_of(response.blocks()):
                self._decoder.take(line)
                events += 1
                if self._decoder.version:
                    self._progress()
        if not self._decoder.version:
            raise StreamError("the stream ended before its list was complete")
        if not events and time.monotonic() - started < 1:
            raise StreamError("the server closes the stream at once")
