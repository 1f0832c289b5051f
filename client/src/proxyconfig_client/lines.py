"""Cuts a streamed answer into lines, without ever holding more than one line of bounded length."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp

from proxyconfig_client.errors import StreamError

LIMIT = 16 * 1024 * 1024
"""An object of etcd has at most 1.5 MiB; its JSON in a watch event a few times that."""


async def lines_of(content: aiohttp.StreamReader, limit: int = LIMIT) -> AsyncIterator[bytes]:
    """Yield the lines without their ends, empty ones left out.

    Raises StreamError if a line is longer than `limit`, or if the stream ends inside one.
    """
    pieces: list[bytes] = []
    held = 0
    async for chunk in content.iter_any():
        *ends, tail = chunk.split(b"\n")
        for end in ends:
            line = b"".join((*pieces, end)) if pieces else end
            pieces.clear()
            held = 0
            if line.strip():
                yield line
        if tail:
            pieces.append(tail)
            held += len(tail)
            if held > limit:
                raise StreamError(f"a line of the stream is longer than {limit} bytes")
    if pieces:
        raise StreamError(f"the stream ended inside an object, after {held} bytes of it")
