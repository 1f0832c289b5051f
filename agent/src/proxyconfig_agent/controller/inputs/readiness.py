"""Holds programming back until the caches have synced or the checkpoint is loaded."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog
from msgspec.structs import replace

from proxyconfig_agent.ingest.model import Network
from proxyconfig_agent.ingest.nodes import service_cidrs_of
from proxyconfig_agent.report.recorder import StatusRecorder
from proxyconfig_agent.state.checkpoint import Checkpoint, order_of
from proxyconfig_agent.state.checkpoint_loader import Checkpointer
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.findings import Source
from proxyconfig_agent.watch.desired import Desired
from proxyconfig_agent.watch.informers import Informers

CIDRS_WITHIN_S = 2.0
"""How long the first sync waits for the ServiceCIDRs; without them it only drops nothing for unallocated addresses."""

_log = structlog.get_logger("agent")

MayUseCheckpoint = Callable[[Desired], Awaitable[bool]]
"""Whether the checkpoint may be used, given the order in it."""


class CacheReadiness:
    """`changed` is called when the cluster is known; `checkpointer` None: this node has no checkpoint."""

    def __init__(
        self,
        informers: Informers,
        cluster: ClusterState,
        recorder: StatusRecorder,
        checkpointer: Checkpointer | None,
        changed: Callable[[], None],
    ) -> None:
        self._informers, self._cluster, self._recorder, self._checkpointer, self._changed = (
            informers,
            cluster,
            recorder,
            checkpointer,
            changed,
        )
        self.known = asyncio.Event()
        """Set when `complete`."""
        self._remembered_cidrs: tuple[Network, ...] = ()

    @property
    def complete(self) -> bool:
        """All Services, EndpointSlices and the Node are known."""
        return self.known.is_set()

    async def run(self, may_use_checkpoint: MayUseCheckpoint) -> None:
        """Wait for the caches; load the checkpoint, if there is one, while the API server does not answer, and keep it up to date."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._wait_for_sync())
            if self._checkpointer is not None:
                group.create_task(self._checkpointer.run())
                group.create_task(self._load_checkpoint(self._checkpointer, may_use_checkpoint))

    def service_cidrs(self) -> tuple[Network, ...]:
        return service_cidrs_of(self._informers.service_cidrs()) or self._remembered_cidrs

    def note(self, desired: Desired) -> None:
        """The kernel has what is desired: have what is known now kept for the next boot."""
        if self._checkpointer is not None:
            self._checkpointer.note(order_of(desired.spec, desired.generation, desired.revision, desired.uid), self.service_cidrs())

    def save(self) -> None:
        """Keep at once what was noted."""
        if self._checkpointer is not None:
            self._checkpointer.save()

    def discard(self) -> None:
        """The proxy was removed: nothing is to be served after the next boot."""
        if self._checkpointer is not None:
            self._checkpointer.discard()

    async def _wait_for_sync(self) -> None:
        """Wait until everything is listed; what was not listed yet would be taken for deleted."""
        for watch in (self._informers.services, self._informers.slices, self._informers.node):
            await watch.synced.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CIDRS_WITHIN_S):
                await self._informers.cidrs.synced.wait()
        _log.info("cluster known", services=self._cluster.services, decode_s=round(self._informers.decode_s(), 4))
        self.known.set()
        self._recorder.set_findings(Source.CHECKPOINT)
        self._changed()

    async def _load_checkpoint(self, checkpointer: Checkpointer, may_use_checkpoint: MayUseCheckpoint) -> None:
        """Load the checkpoint if the caches have not synced within SILENCE_S."""
        last = await checkpointer.after_silence(lambda: self.complete)
        if last is None:
            return
        order = last.heading.order
        allowed = await may_use_checkpoint(Desired(order.parsed(), order.generation, order.revision, uid=order.uid))
        if not allowed or self.complete:  # the lists may have come meanwhile
            return
        self._recorder.set_findings(Source.CHECKPOINT, checkpointer.put_back(self._unlisted(last)))
        self._remembered_cidrs = last.heading.service_cidrs
        self.known.set()
        self._changed()

    def _unlisted(self, last: Checkpoint) -> Checkpoint:
        """The kinds that were not listed yet: what was deleted since the checkpoint would come back, and no watch would report it."""
        node = self._cluster.node if self._informers.node.synced.is_set() else last.heading.node
        services = () if self._informers.services.synced.is_set() else last.services
        slices = () if self._informers.slices.synced.is_set() else last.slices
        return replace(last, heading=replace(last.heading, node=node), services=services, slices=slices)
