"""Posts Events. What every node says of a Service becomes one Event in the cluster, whichever node comes first.

At 5,000 nodes all of them learn of a bad Service in the same moment. Each waits a random while, looks whether the Event is there, and
posts it only if it is not: one write, and as many reads, spread over seconds. Its name follows from what it says, so that two nodes
which look at the same moment do not post two.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Literal, NoReturn

import structlog

from proxyconfig_agent.ingest.model import ServiceName
from proxyconfig_agent.report.events.events import NodeEvent
from proxyconfig_client.apiserver.events import Events, Reference

WAITING = 100
"""No more than that at once: the status names what matters."""
SPREAD_S = 10.0

_log = structlog.get_logger("events")


class EventPoster:
    """`uid_of` a Service, empty if it is unknown; `still_true`: whether an Event on a Service is to be posted when its turn comes."""

    def __init__(
        self,
        uid_of: Callable[[ServiceName], str],
        still_true: Callable[[NodeEvent], bool],
        *,
        spread_s: float = SPREAD_S,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._uid_of, self._still_true, self._spread_s, self._chance = uid_of, still_true, spread_s, chance
        self._waiting: asyncio.Queue[NodeEvent] = asyncio.Queue(WAITING)

    @property
    def room(self) -> int:
        """How many Events more can wait."""
        return WAITING - self._waiting.qsize()

    def announce(self, *events: NodeEvent) -> None:
        """Have them posted soon; beyond the `room` they are dropped."""
        room = self.room
        for event in events[:room]:
            self._waiting.put_nowait(event)
        if dropped := events[room:]:
            _log.warning("events dropped", dropped=len(dropped), first=f"{dropped[0].reason}: {dropped[0].note}")

    async def run(self, events: Events, node: str) -> NoReturn:
        """Post until cancelled."""
        at_once = asyncio.Semaphore(WAITING)
        async with asyncio.TaskGroup() as group:
            while True:
                await at_once.acquire()
                task = group.create_task(self._post(await self._waiting.get(), events, node))
                task.add_done_callback(lambda _: at_once.release())

    async def _post(self, event: NodeEvent, events: Events, node: str) -> None:
        kind: Literal["Normal", "Warning"] = "Warning" if event.warning else "Normal"
        if event.service is None:
            about = Reference("v1", "Node", node, uid=node)  # kubelet's and kube-proxy's Events on a Node have its name as uid, too
            await events.post(about, event.reason, event.note, action=event.action, kind=kind)
            return
        await asyncio.sleep(self._spread_s * self._chance())
        if self._still_true(event):
            about = Reference("v1", "Service", event.service.name, event.service.namespace, self._uid_of(event.service))
            await events.post_once(about, event.reason, event.note, action=event.action, kind=kind)
