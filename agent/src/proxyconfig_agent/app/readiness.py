"""Whether the cluster is known as a whole: from the watches, else from what this node last knew. Until then nothing is programmed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from proxyconfig_agent.ingest.model import Network
from proxyconfig_agent.ingest.nodes import service_cidrs_of
from proxyconfig_agent.report.recorder import StatusRecorder
from proxyconfig_agent.state.checkpoint import order_of
from proxyconfig_agent.state.checkpoint_loader import Checkpointer
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.findings import Source
from proxyconfig_agent.watch.desired import Desired
from proxyconfig_agent.watch.informers import Informers

CIDRS_WITHIN_S = 2.0
"""How long the first sync waits for the ServiceCIDRs; without them it only drops nothing for unallocated addresses."""

_log = structlog.get_logger("agent")

MayServe = Callable[[Desired], Awaitable[bool]]
"""Whether this node may serve what it remembers, and was to do then."""


class CacheReadiness:
    """`news` is called when the cluster is known; `recall` None: this node remembers nothing."""

    def __init__(
        self, watched: Informers, cluster: ClusterState, telling: StatusRecorder, recall: Checkpointer | None, news: Callable[[], None]
    ) -> None:
        self._watched, self._cluster, self._telling, self._recall, self._news = watched, cluster, telling, recall, news
        self.complete = False
        self._remembered_cidrs: tuple[Network, ...] = ()

    async def run(self, may_serve: MayServe) -> None:
        """Wait for the watches; where there is a memory, help out with it while they are silent, and keep it up to date."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._learn())
            if self._recall is not None:
                group.create_task(self._recall.run())
                group.create_task(self._remember(self._recall, may_serve))

    def service_cidrs(self) -> tuple[Network, ...]:
        return service_cidrs_of(self._watched.service_cidrs()) or self._remembered_cidrs

    def note(self, desired: Desired) -> None:
        """The kernel has what is desired: have what is known now kept for the next boot."""
        if self._recall is not None:
            self._recall.note(order_of(desired.spec, desired.generation, desired.revision, desired.uid), self.service_cidrs())

    def save(self) -> None:
        """Keep at once what was noted."""
        if self._recall is not None:
            self._recall.save()

    def discard(self) -> None:
        """The proxy was removed: nothing is to be served after the next boot."""
        if self._recall is not None:
            self._recall.discard()

    async def _learn(self) -> None:
        """Wait until everything is listed; what was not listed yet would be taken for deleted."""
        for watch in (self._watched.services, self._watched.slices, self._watched.node):
            await watch.synced.wait()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._watched.cidrs.synced.wait(), CIDRS_WITHIN_S)
        _log.info("cluster known", services=self._cluster.services, decode_s=round(self._watched.decode_s(), 4))
        self.complete = True
        self._telling.set_findings(Source.CHECKPOINT)
        self._news()

    async def _remember(self, recall: Checkpointer, may_serve: MayServe) -> None:
        """Serve what was last known if the API server is silent."""
        last = await recall.after_silence(lambda: self.complete)
        if last is None:
            return
        order = last.heading.order
        if not await may_serve(Desired(order.parsed(), order.generation, order.revision, uid=order.uid)):
            return
        self._telling.set_findings(Source.CHECKPOINT, recall.put_back(last))
        self._remembered_cidrs = last.heading.service_cidrs
        self.complete = True
        self._news()
