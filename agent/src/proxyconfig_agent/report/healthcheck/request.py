"""A request to a health check node port, parsed by httptools from its head. Pure."""

from __future__ import annotations

import httptools
from msgspec import Struct

VERSIONS = ("1.0", "1.1")


class Request(Struct, frozen=True):
    """What of a request matters for the response."""

    method: bytes
    version: str
    """One of VERSIONS."""
    keep_alive: bool
    """The connection may serve another request. Not after a body: it is not read, so where the next request begins is unknown."""


def request_of(head: bytes) -> Request | None:
    """The request whose head this is, the empty line included; None if it is no request of HTTP/1.0 or HTTP/1.1."""
    parsed = _Parsed()
    try:
        parsed.parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        pass  # answered as if it did not ask for another protocol
    except httptools.HttpParserError:
        return None
    version = parsed.parser.get_http_version()
    if not parsed.has_headers or version not in VERSIONS:
        return None
    return Request(parsed.parser.get_method(), version, parsed.keep_alive and parsed.complete)


class _Parsed:
    """The parser's callbacks, by the names that httptools calls."""

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.has_headers = self.complete = self.keep_alive = False

    def on_headers_complete(self) -> None:
        self.has_headers, self.keep_alive = True, self.parser.should_keep_alive()

    def on_message_complete(self) -> None:
        self.complete = True
