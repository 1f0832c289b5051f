"""Cuts a streamed response into lines; holds one line of bounded length at most."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator

from proxyconfig_client.connection.errors import StreamError

LIMIT = 16 * 1024 * 1024
"""An object of etcd has at most 1.5 MiB; its JSON in a watch event a few times that."""


async def lines_of(chunks: AsyncIterable[bytes], limit: int = LIMIT) -> AsyncIterator[bytes]:
    """Yield the lines without their ends, empty ones left out.

    Raises StreamError if a line is longer than `limit`, or if the stream ends inside one.
    """
    held = bytearray()  # not a list of pieces: a server that sends byte by byte would cost dozens of bytes per byte
    async for chunk in chunks:
        *ends, tail = chunk.split(b"\n")
        for end in ends:
            line = bytes(held + end) if held else end
            held.clear()
            if line.strip():
                yield line
        held += tail
        if len(held) > limit:
            raise StreamError(f"a line of the stream is longer than {limit} bytes")
    if held:
        raise StreamError(f"the stream ended inside an object, after {len(held)} bytes of it")
