"""Compares once a minute for as long as the node observes. The comparison is in `round`, which no other node imports."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn

from msgspec import Struct

from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.node.addresses.local_address import LocalAddress
from proxyconfig_api.status.shadow import Shadow

ROUND_S = 60.0
"""Between two comparisons of all Services."""


class Observed(Struct, frozen=True):
    """What the agent's own rules depend on."""

    settings: Settings
    local: Sequence[LocalAddress]


Compare = Callable[[Observed], Awaitable[Shadow]]
"""Compares all Services once."""


class Observer:
    """`load` blocks, and is called once, when there is something to compare; `tell` gets what each round finds, and None when the node
    does not observe any more."""

    def __init__(self, load: Callable[[], Compare], tell: Callable[[Shadow | None], None]) -> None:
        self._load, self._tell = load, tell
        self._observed: Observed | None = None
        self._begun = asyncio.Event()

    def observe(self, observed: Observed | None) -> None:
        """Compare with this from now on; None: nothing."""
        if self._observed is not None and observed is None:
            self._tell(None)
        self._observed = observed
        if observed is None:
            self._begun.clear()
        else:
            self._begun.set()

    async def run(self) -> NoReturn:
        await self._begun.wait()
        compare = await asyncio.to_thread(self._load)
        while True:
            await self._begun.wait()
            if (observed := self._observed) is not None:
                found = await compare(observed)
                if self._observed is observed:
                    self._tell(found)
            await asyncio.sleep(ROUND_S)
