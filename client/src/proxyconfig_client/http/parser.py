"""Parses HTTP/1.1 responses (RFC 9112) by llhttp. Pure: octets in, status, headers and pieces of the body out.

llhttp is strict, and bounds nothing: a peer that sends headers, trailers or chunk lengths without end is refused here.
"""

from __future__ import annotations

import httptools

from proxyconfig_client.connection.errors import StreamError

OVERHEAD_LIMIT = 65_536
"""Octets in a row that are no body: the head, trailers, lengths of chunks."""


class ResponseParser:
    """`feed` it until `done`; the response may be read as soon as `has_head`."""

    def __init__(self) -> None:
        self.status = 0
        self.reason = ""
        self.headers: dict[str, str] = {}
        """Names in lower case."""
        self.has_head = False
        self.reusable = False
        """The body is complete, nothing came behind it, and the server takes another request on this connection."""
        self._done = False
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._overhead = 0

    @property
    def done(self) -> bool:
        """The body is complete."""
        return self._done

    def feed(self, octets: bytes) -> bytes:
        """The part of the body that came with these octets. Raises StreamError for what is no HTTP."""
        if self._done:
            self.reusable = False
            return b""
        try:
            self._parser.feed_data(octets)
        except httptools.HttpParserUpgrade as error:
            raise StreamError("the server switches to another protocol") from error
        except httptools.HttpParserError as error:
            if not self.done:  # behind the end anything may stand
                raise StreamError(f"the response is not HTTP: {error}") from error
            self.reusable = False
        self._check_head()
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        self._bound(0 if body else self._overhead + len(octets))
        return body

    def close(self) -> None:
        """The server has closed the connection. Raises StreamError if the response is not complete."""
        if not self.has_head or "content-length" in self.headers or "transfer-encoding" in self.headers:
            raise StreamError("the response was cut off")
        self._done = True

    def _check_head(self) -> None:
        """llhttp takes any version and any encoding."""
        if self.has_head and not self._parser.get_http_version().startswith("1."):
            raise StreamError(f"the response is HTTP/{self._parser.get_http_version()}")
        if self.headers.get("transfer-encoding", "chunked").lower() != "chunked":
            raise StreamError(f"unexpected transfer encoding {self.headers['transfer-encoding']!r}")

    def _bound(self, overhead: int) -> None:
        self._overhead = overhead
        if overhead > OVERHEAD_LIMIT:
            part = "between chunks of the response" if self.has_head else "in the headers of a response"
            raise StreamError(f"more than {OVERHEAD_LIMIT} bytes {part}")

    # Callbacks of httptools.

    def on_message_begin(self) -> None:
        if self.done:
            self.reusable = False

    def on_status(self, status: bytes) -> None:
        if not self.done:
            self.reason += status.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.has_head:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1").strip()

    def on_headers_complete(self) -> None:
        if self.done or self._parser.get_status_code() < 200:
            return
        self.status, self.has_head = self._parser.get_status_code(), True

    def on_body(self, body: bytes) -> None:
        if not self.done:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self.has_head and not self.done:
            self._done, self.reusable = True, self._parser.should_keep_alive()
        elif not self.has_head:  # 100 Continue and other interim responses
            self.headers, self.reason = {}, ""
