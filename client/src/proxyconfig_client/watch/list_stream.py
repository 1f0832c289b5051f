"""Cuts a list response into its objects while it comes in, so that it is never held as a whole. Pure.

API servers write `{…,"metadata":{…},"items":[{"metadata":…},{"metadata":…}]}`. At `,{"metadata":` an object may end: the part before it
is a whole object exactly if it is JSON, as the beginning of an object never is. A response that is written otherwise (with other spaces,
or another order of fields) is held until its end and decoded as one.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from proxyconfig_client.connection.errors import StreamError

_ITEMS = b'"items":['
_BETWEEN = b',{"metadata":'

_json = msgspec.json.Decoder(msgspec.Raw)


class _Metadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""


class _List(msgspec.Struct):
    metadata: _Metadata
    items: list[msgspec.Raw] | None = None


_list = msgspec.json.Decoder(_List)


def is_json(octets: bytes) -> bool:
    """Whether this is one JSON value, and nothing else."""
    try:
        _json.decode(octets)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


def version_of(content: bytes) -> str:
    """The resourceVersion of a whole list. Raises StreamError if it is no list."""
    return _decoded(content).metadata.resource_version


class ListStream:
    """`feed` it the response, then `end` it. `version` is the list's own, after that."""

    def __init__(self, limit: int) -> None:
        """`limit`: how much it may hold at a time, in bytes."""
        self.version = ""
        self._limit = limit
        self._head = b""
        self._held = bytearray()
        self._searched = 0  # bytes of `_held` in which no object begins
        self._incomplete = False

    def feed(self, octets: bytes) -> Iterator[bytes]:
        """Objects that may be complete. Call `incomplete` for one that is not JSON before taking the next."""
        self._held += octets
        if not self._head:
            if (at := self._find(_ITEMS)) < 0:
                return
            self._head = self._cut(at + len(_ITEMS))
        while (at := self._find(_BETWEEN)) >= 0:
            self._incomplete = False
            yield bytes(memoryview(self._held)[:at])
            if self._incomplete:
                self._searched = at + len(_BETWEEN)
            else:
                self._cut(at + 1)

    def incomplete(self) -> None:
        """The last candidate is only the beginning of an object."""
        self._incomplete = True

    def end(self) -> list[bytes]:
        """The response is over: its last objects. Raises StreamError if it is no list."""
        found = _decoded(self._head + self._held)
        self.version = found.metadata.resource_version
        return [bytes(item) for item in found.items or ()]

    def _find(self, pattern: bytes) -> int:
        """Where the pattern is; what was searched before is not searched again. Raises StreamError if too much is held for that."""
        at = self._held.find(pattern, max(0, self._searched - len(pattern) + 1))
        if at < 0:
            self._searched = len(self._held)
            if self._searched > self._limit:
                raise StreamError(f"a response is longer than {self._limit} bytes")
        return at

    def _cut(self, length: int) -> bytes:
        cut = bytes(memoryview(self._held)[:length])
        del self._held[:length]
        self._searched = 0
        return cut


def _decoded(content: bytes) -> _List:
    try:
        return _list.decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise StreamError(f"the list cannot be understood: {error}") from error
