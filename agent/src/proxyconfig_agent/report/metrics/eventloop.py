"""How late the event loop is: nothing may hold it for longer than a tenth of a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn

EVERY_S = 0.1


async def measure(observe: Callable[[float], None]) -> NoReturn:
    """Report the delay, in seconds, of a task that is due every EVERY_S. Runs until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + EVERY_S
        await asyncio.sleep(EVERY_S)
        observe(loop.time() - due)
