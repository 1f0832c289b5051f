"""Posts notices as Events. What every node says of a Service becomes one Event in the cluster, whichever node comes first.

At 5,000 nodes all of them learn of a bad Service in the same moment. Each waits a random while, looks whether the Event is there, and
posts it only if it is not: one write, and as many reads, spread over seconds. Its name follows from what it says, so that two nodes
which look at the same moment do not post two.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Literal, NoReturn

from proxyconfig_agent.ingest.model import ServiceName
from proxyconfig_agent.report.events.events import NodeEvent
from proxyconfig_client.events import Events, Reference

WAITING = 100
"""More than that at once are dropped: an Event is a courtesy, and the status names what matters."""
SPREAD_S = 10.0


class EventPoster:
    """`uid_of` a Service, empty if it is unknown; `holds`: whether a notice about a Service is still true, when its turn comes."""

    def __init__(
        self,
        uid_of: Callable[[ServiceName], str],
        holds: Callable[[NodeEvent], bool],
        *,
        spread_s: float = SPREAD_S,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._uid_of, self._holds, self._spread_s, self._chance = uid_of, holds, spread_s, chance
        self._notices: asyncio.Queue[NodeEvent] = asyncio.Queue(WAITING)

    def announce(self, *notices: NodeEvent) -> None:
        """Have them posted soon."""
        for notice in notices:
            if not self._notices.full():
                self._notices.put_nowait(notice)

    async def run(self, events: Events, node: str) -> NoReturn:
        """Post until cancelled."""
        at_once = asyncio.Semaphore(WAITING)
        async with asyncio.TaskGroup() as group:
            while True:
                await at_once.acquire()
                task = group.create_task(self._post(await self._notices.get(), events, node))
                task.add_done_callback(lambda _: at_once.release())

    async def _post(self, notice: NodeEvent, events: Events, node: str) -> None:
        kind: Literal["Normal", "Warning"] = "Warning" if notice.warning else "Normal"
        if notice.service is None:
            about = Reference("v1", "Node", node, uid=node)  # kubelet's and kube-proxy's Events on a Node have its name as uid, too
            await events.post(about, notice.reason, notice.note, action=notice.action, kind=kind)
            return
        await asyncio.sleep(self._spread_s * self._chance())
        if self._holds(notice):
            about = Reference("v1", "Service", notice.service.name, notice.service.namespace, self._uid_of(notice.service))
            await events.post_once(about, notice.reason, notice.note, action=notice.action, kind=kind)
