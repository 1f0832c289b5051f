"""Decodes the bytes of lists and watches into calls of a handler, and keeps the version to resume from. No I/O.

Hostile bytes end as StreamError (drop the stream, resume it); an object that cannot be decoded is reported alone, and the handler keeps
its last good state.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic

import msgspec
import structlog
from msgspec import Struct

from proxyconfig_client.connection.errors import ApiError, RestoredError, StreamError
from proxyconfig_client.watch.list_stream import ListStream, is_json
from proxyconfig_client.watch.objects import Handler, Identified, Key, Metadata, T, is_older

_log = structlog.get_logger("intake")
_INITIAL_END = "k8s.io/initial-events-end"

UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""Raised by decoders: bytes that are no UTF-8 are a ValueError; values nested too deeply exhaust the stack."""


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


class Counters(Struct):
    """Since the start, for metrics and benchmarks."""

    objects: int = 0
    bytes: int = 0
    decode_s: float = 0.0
    """Seconds from bytes to the handler's state."""
    lists: int = 0
    interruptions: int = 0
    undecodable: int = 0


class Decoder(Generic[T]):
    """One resource into one handler. `version` is where a watch resumes; empty: list first."""

    def __init__(
        self,
        path: str,
        decode: Callable[[msgspec.Raw | bytes], T],
        handler: Handler[T],
        on_undecodable: Callable[[Key, str], None] | None = None,
    ) -> None:
        self.counters = Counters()
        self.version = ""
        self._path, self._decode, self._handler = path, decode, handler
        self._on_undecodable = on_undecodable or self._log_undecodable
        self._seen: set[Key] | None = None  # the keys of a list that is still coming in
        self._events = msgspec.json.Decoder(_Event)
        self._bare, self._bookmarks = msgspec.json.Decoder(_Bare, strict=False), msgspec.json.Decoder(_Bookmark, strict=False)

    def begin_list(self) -> None:
        """The next objects are those of a list."""
        self._seen = set()
        self.version = ""

    def end_list(self, version: str) -> None:
        """The list is complete: objects that it does not contain are gone."""
        seen, self._seen = self._seen or set(), None
        for key in set(self._handler.keys()) - seen:
            self._handler.on_delete(key)
        self.version = version
        self.counters.lists += 1

    def clear(self) -> None:
        """The resource does not exist: a list without objects and without a version."""
        self.begin_list()
        self.end_list("")

    def verify(self, version: str) -> None:
        """Raises RestoredError if the server's version is older than the known one."""
        if is_older(version, self.version):
            raise RestoredError(f"resourceVersion {version} after {self.version}: the API server was restored from a backup")

    def take_some(self, listed: ListStream, octets: bytes) -> None:
        """Take in the next part of a list. Raises StreamError."""
        self.counters.bytes += len(octets)
        for candidate in listed.feed(octets):
            if not self._put(candidate):
                listed.incomplete()

    def take_last(self, listed: ListStream) -> None:
        """Take in the end of a list. Raises StreamError."""
        for item in listed.end():
            if not self._put(item):
                raise StreamError("the list ends inside an object")
        self.end_list(listed.version)

    def take(self, line: bytes) -> None:
        """Take in one event of a watch. Raises StreamError for nonsense, ApiError for an ERROR event, RestoredError."""
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
                    raise StreamError(f"unknown event type {event.type[:100]!r}")
        except UNDECODABLE as error:
            raise StreamError(f"an event cannot be understood: {error}") from error

    def _put(self, raw: msgspec.Raw | bytes) -> bool:
        """True if `raw` was a complete object, decodable or not; otherwise nothing has happened."""
        started = time.perf_counter()
        try:
            item = self._decode(raw)
        except UNDECODABLE as error:
            if isinstance(raw, bytes) and not is_json(raw):
                return False
            self._undecodable(raw, error)
            return True
        self.counters.objects += 1
        self._advance(item.metadata)
        self._handler.on_upsert(item)
        self.counters.decode_s += time.perf_counter() - started
        return True

    def _undecodable(self, raw: msgspec.Raw | bytes, error: Exception) -> None:
        self.counters.undecodable += 1
        try:
            metadata = self._bare.decode(raw).metadata
        except UNDECODABLE:
            _log.warning("object without a usable name skipped", path=self._path, error=str(error))
            return
        self._advance(metadata)
        self._on_undecodable(Key(metadata.namespace, metadata.name), f"cannot be decoded: {error}")

    def _drop(self, metadata: Metadata) -> None:
        """A streamed list may have lost an object again before it is complete; that is no place to resume from, either."""
        key = Key(metadata.namespace, metadata.name)
        if self._seen is not None:
            self._seen.discard(key)
        else:
            self._advance_to(metadata.resource_version)
        self._handler.on_delete(key)

    def _advance(self, metadata: Identified) -> None:
        """Note that this object was seen. Inside a list its version is no place to resume from."""
        if self._seen is not None:
            self._seen.add(Key(metadata.namespace, metadata.name))
        else:
            self._advance_to(metadata.resource_version)

    def _advance_to(self, version: str) -> None:
        self.verify(version)
        self.version = version or self.version

    def _mark(self, bookmark: _BookmarkMetadata) -> None:
        if self._seen is None:
            self._advance_to(bookmark.resource_version)
        elif (bookmark.annotations or {}).get(_INITIAL_END) == "true":
            self.end_list(bookmark.resource_version)

    def _log_undecodable(self, key: Key, reason: str) -> None:
        _log.warning("object not decoded", path=self._path, object=str(key), reason=reason)
