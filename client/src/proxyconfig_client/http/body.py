"""Where the body of an HTTP/1.1 answer ends (RFC 9112 §6). Pure: octets in, octets of the body out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from proxyconfig_client.errors import StreamError

_LINE = 4096
"""No line between chunks is longer: an endless one is no HTTP."""
_TRAILERS = 100
_END = b"\r\n"


class Framing(Protocol):
    done: bool
    """The body is complete."""
    exact: bool
    """And so far nothing came behind it: the connection can be used again."""

    def feed(self, octets: bytes) -> bytes:
        """What of these is body. Raises StreamError for what is no HTTP."""
        ...

    def close(self) -> None:
        """The server has closed the connection. Raises StreamError if the body is not complete."""
        ...


class Sized:
    """As long as Content-Length says."""

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = not length
        self.exact = True

    def feed(self, octets: bytes) -> bytes:
        body = octets[: self._left]
        self._left -= len(body)
        self.done = not self._left
        self.exact = len(body) == len(octets)
        return body

    def close(self) -> None:
        if self._left:
            raise StreamError(f"the answer ended {self._left} bytes too early")


class UntilClosed:
    """Until the server closes the connection: nobody can tell whether that was all."""

    def __init__(self) -> None:
        self.done = self.exact = False

    def feed(self, octets: bytes) -> bytes:
        return octets

    def close(self) -> None:
        self.done = True


class Chunked:
    """Chunks with their lengths in hexadecimal before them; a length of 0 ends them, trailers may follow."""

    def __init__(self) -> None:
        self.done = self.exact = False
        self._rest = b""
        self._left = 0  # of the current chunk
        self._closing = False  # the end of the chunk's line comes next
        self._trailing = False  # all chunks were there
        self._trailers = 0

    def feed(self, octets: bytes) -> bytes:
        octets = self._rest + octets if self._rest else octets
        pieces, at = [], 0
        while not self.done:
            if self._left:
                piece = octets[at : at + self._left]
                at += len(piece)
                self._left -= len(piece)
                pieces.append(piece)
                if self._left:
                    break
            end = octets.find(_END, at)
            if end < 0:
                break
            self._line(octets[at:end])
            at = end + len(_END)
        self._rest = octets[at:]
        if self.done:
            self.exact = not self._rest
        elif len(self._rest) > _LINE:
            raise StreamError("a line between chunks of the answer has no end")
        return b"".join(pieces)

    def close(self) -> None:
        if not self.done:
            raise StreamError("the answer ended between chunks, or inside one")

    def _line(self, line: bytes) -> None:
        if self._trailing:
            self.done = not line
            self._trailers += 1
            if self._trailers > _TRAILERS:
                raise StreamError("the answer has trailers without end")
            return
        if self._closing:
            if line:
                raise StreamError("a chunk of the answer is longer than it says")
            self._closing = False
            return
        digits = line.partition(b";")[0].strip()
        if not digits.isalnum() or len(digits) > 15:
            raise StreamError(f"{bytes(line[:40])!r} is not the length of a chunk")
        try:
            length = int(digits, 16)
        except ValueError:
            raise StreamError(f"{bytes(line[:40])!r} is not the length of a chunk") from None
        self._left, self._closing, self._trailing = length, length > 0, length == 0


def framing_of(status: int, headers: Mapping[str, str]) -> Framing:
    """How the body of an answer with these headers (names in lower case) is framed. Raises StreamError."""
    if status in (204, 304):
        return Sized(0)
    if encoding := headers.get("transfer-encoding"):
        if encoding.strip().lower() != "chunked":
            raise StreamError(f"the answer has a transfer encoding that nobody asked for: {encoding!r}")
        return Chunked()
    if length := headers.get("content-length"):
        if not (length.isascii() and length.isdigit()) or len(length) > 15:
            raise StreamError(f"{length!r} is not a length")
        return Sized(int(length))
    return UntilClosed()
