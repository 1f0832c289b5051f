"""Turns the bytes of lists and watches into calls of a sink: objects put and dropped, the version to resume from. No I/O.

Hostile bytes end as StreamError (drop the stream, resume it); an object that cannot be decoded is set aside alone, and the sink keeps
what it had of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

import msgspec
import structlog

from proxyconfig_client.errors import ApiError, StreamError
from proxyconfig_client.watch.list_stream import ListStream, is_json
from proxyconfig_client.watch.objects import Handler, Identified, Key, Metadata, T

_log = structlog.get_logger("intake")
_INITIAL_END = "k8s.io/initial-events-end"

UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What a decoder raises: bytes that are no UTF-8 are a ValueError; values nested too deeply exhaust the stack."""


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


@dataclass(slots=True)
class Counters:
    """What came in so far, for metrics and benchmarks."""

    objects: int = 0
    bytes: int = 0
    decode_s: float = 0.0
    """Seconds from bytes to what the sink keeps."""
    lists: int = 0
    interruptions: int = 0
    undecodable: int = 0


class Decoder(Generic[T]):
    """One resource into one sink. `version` is where a watch goes on; empty: list first."""

    def __init__(
        self, path: str, decode: Callable[[msgspec.Raw | bytes], T], sink: Handler[T], set_aside: Callable[[Key, str], None] | None = None
    ) -> None:
        self.counters = Counters()
        self.version = ""
        self._path, self._decode, self._sink = path, decode, sink
        self._set_aside = set_aside or self._report
        self._seen: set[Key] | None = None  # the keys of a list that is still coming in
        self._events = msgspec.json.Decoder(_Event)
        self._bare, self._bookmarks = msgspec.json.Decoder(_Bare, strict=False), msgspec.json.Decoder(_Bookmark, strict=False)

    def begin_list(self) -> None:
        """What comes now is a list, until it is complete."""
        self._seen = set()
        self.version = ""

    def end_list(self, version: str) -> None:
        """The list is complete: what it does not name is gone."""
        seen, self._seen = self._seen or set(), None
        for key in [key for key in self._sink.known() if key not in seen]:
            self._sink.drop(key)
        self.version = version
        self.counters.lists += 1

    def take_some(self, listing: ListStream, octets: bytes) -> None:
        """What has come of the answer to a list. Raises StreamError."""
        self.counters.bytes += len(octets)
        for candidate in listing.feed(octets):
            if not self._put(candidate):
                listing.incomplete(candidate)

    def take_last(self, listing: ListStream) -> None:
        """The answer to a list is over. Raises StreamError."""
        for item in listing.end():
            if not self._put(item):
                raise StreamError("the list ends inside an object")
        self.end_list(listing.version)

    def take(self, line: bytes) -> None:
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
                    raise StreamError(f"unknown event type {event.type[:100]!r}")
        except UNDECODABLE as error:
            raise StreamError(f"an event cannot be understood: {error}") from error

    def _put(self, raw: msgspec.Raw | bytes) -> bool:
        """Whether it was an object, though perhaps one that cannot be decoded; if it was none, nothing has happened."""
        started = time.perf_counter()
        try:
            item = self._decode(raw)
        except UNDECODABLE as error:
            if isinstance(raw, bytes) and not is_json(raw):
                return False
            self._put_aside(raw, error)
            return True
        self.counters.objects += 1
        self._advance(item.metadata)
        self._sink.put(item)
        self.counters.decode_s += time.perf_counter() - started
        return True

    def _put_aside(self, raw: msgspec.Raw | bytes, error: Exception) -> None:
        self.counters.undecodable += 1
        try:
            metadata = self._bare.decode(raw).metadata
        except UNDECODABLE:
            _log.warning("object without a usable name skipped", path=self._path, error=str(error))
            return
        self._advance(metadata)
        self._set_aside(Key(metadata.namespace, metadata.name), f"cannot be decoded: {error}")

    def _drop(self, metadata: Metadata) -> None:
        self.version = metadata.resource_version or self.version
        self._sink.drop(Key(metadata.namespace, metadata.name))

    def _advance(self, metadata: Identified) -> None:
        """Note that we have seen this object at this version. Inside a list its version is no place to resume from."""
        if self._seen is not None:
            self._seen.add(Key(metadata.namespace, metadata.name))
        elif metadata.resource_version:
            self.version = metadata.resource_version

    def _mark(self, bookmark: _BookmarkMetadata) -> None:
        if self._seen is None:
            self.version = bookmark.resource_version or self.version
        elif (bookmark.annotations or {}).get(_INITIAL_END) == "true":
            self.end_list(bookmark.resource_version)

    def _report(self, key: Key, reason: str) -> None:
        _log.warning("object set aside", path=self._path, object=str(key), reason=reason)
