"""Cuts the answer to a list into its objects while it comes in, so that nobody ever holds all of it. Pure.

API servers write `{…,"metadata":{…},"items":[{"metadata":…},{"metadata":…}]}`. Where `,{"metadata":` stands, an object may end: what is
before it is a whole object exactly if it is JSON, as the beginning of an object never is. An answer that is written otherwise (with other
spaces, or another order of fields) is held until its end and decoded as one.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from proxyconfig_client.errors import StreamError

_ITEMS = b'"items":['
_BETWEEN, _AGAIN = b',{"metadata":', b'{"metadata":'

_json = msgspec.json.Decoder(msgspec.Raw)


class _Metadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""


class _Whole(msgspec.Struct):
    metadata: _Metadata
    items: list[msgspec.Raw] | None = None


_whole = msgspec.json.Decoder(_Whole)


def is_json(octets: bytes) -> bool:
    """Whether this is one JSON value, and nothing else."""
    try:
        _json.decode(octets)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


class ListStream:
    """`feed` it the answer, then `end` it. `version` is the list's own, after that."""

    def __init__(self, limit: int) -> None:
        """`limit`: how much it may hold at a time, in bytes."""
        self.version = ""
        self._limit = limit
        self._head = b""
        self._held = b""

    def feed(self, octets: bytes) -> Iterator[bytes]:
        """Objects that may be complete by now. Give back with `incomplete` each that is not JSON, before the next is taken."""
        self._held += octets
        if not self._head:
            head, found, rest = self._held.partition(_ITEMS)
            if not found:
                self._check()
                return
            self._head, self._held = head + found, rest
        first, *others = self._held.split(_BETWEEN)
        for other in others:
            self._held = b""
            yield first
            came_back = self._held
            first = came_back + _BETWEEN + other if came_back else _AGAIN + other
        self._held = first
        self._check()

    def incomplete(self, candidate: bytes) -> None:
        """This is only the beginning of an object."""
        self._held = candidate

    def end(self) -> list[bytes]:
        """The answer is over: its last objects. Raises StreamError if it is no list."""
        try:
            found = _whole.decode(self._head + self._held)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise StreamError(f"the list cannot be understood: {error}") from error
        self.version = found.metadata.resource_version
        return [bytes(item) for item in found.items or ()]

    def _check(self) -> None:
        if len(self._held) > self._limit:
            raise StreamError(f"an answer is longer than {self._limit} bytes")
