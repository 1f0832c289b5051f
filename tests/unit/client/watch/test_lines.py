"""Lines of a stream, and how much memory they may take."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator, Iterable
from itertools import repeat

import pytest

from proxyconfig_client.connection.errors import StreamError
from proxyconfig_client.watch.lines import lines_of


async def stream(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_lines_come_whole_however_they_are_cut() -> None:
    chunks = [b"o", b"ne\ntw", b"o\n\n  \nth", b"ree", b"\n"]
    assert [line async for line in lines_of(stream(chunks))] == [b"one", b"two", b"three"]


async def test_an_endless_line_that_comes_in_bits_takes_no_more_than_its_limit() -> None:
    limit = 250_000
    tracemalloc.start()
    try:
        with pytest.raises(StreamError, match="longer than 250000 bytes"):
            async for _ in lines_of(stream(bytes(bytearray(b"xy")) for _ in repeat(None)), limit):
                pass
        assert tracemalloc.get_traced_memory()[1] < 2.5 * limit
    finally:
        tracemalloc.stop()
