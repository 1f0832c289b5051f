"""A page of the agent whose port can be left to another program for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn


class Page:
    def __init__(self) -> None:
        self._open, self._closed = asyncio.Event(), asyncio.Event()
        self._open.set()

    def leave(self, free: bool) -> None:
        """Whether the port is to be free from now on."""
        (self._open.clear if free else self._open.set)()
        (self._closed.set if free else self._closed.clear)()

    async def run(self, serve: Callable[[], Coroutine[Any, Any, None]]) -> NoReturn:
        """Have it served, whenever the port is not left, until cancelled; `serve` listens until it is cancelled."""
        while True:
            await self._open.wait()
            tasks = serving, closed = asyncio.ensure_future(serve()), asyncio.ensure_future(self._closed.wait())
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                if serving.done():
                    serving.result()  # raises why
                    await closed
            finally:
                serving.cancel()
                closed.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
