"""Keeps the file of `memory` up to date, and tells what it says while the API server is silent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NoReturn

import structlog

from proxyconfig_agent.ingest.model import Network
from proxyconfig_agent.state.checkpoint import FORMAT, Checkpoint, CheckpointFile, Header, NodeOrder
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.findings import Finding, Topic

SILENCE_S = 5.0
"""How long the API server may take to list everything before the file counts."""

SAVE_EVERY_S = 60.0
"""Changes are written together: the file is for the hour of need, and a disk is not to wear out for it."""

_log = structlog.get_logger("memory")


class Checkpointer:
    """What this node last knew. `clock` returns Unix seconds."""

    def __init__(self, memory: CheckpointFile, cluster: ClusterState, clock: Callable[[], float] = time.time) -> None:
        self._memory, self._cluster, self._clock = memory, cluster, clock
        self._order: NodeOrder | None = None
        self._cidrs: tuple[Network, ...] = ()
        self._unsaved = asyncio.Event()

    def note(self, order: NodeOrder, service_cidrs: tuple[Network, ...]) -> None:
        """The kernel has what the cluster wants, under this order; it is to be saved soon."""
        self._order, self._cidrs = order, service_cidrs
        self._unsaved.set()

    async def run(self) -> NoReturn:
        """Save what was noted, now and then."""
        while True:
            await self._unsaved.wait()
            await asyncio.sleep(SAVE_EVERY_S)
            self.save()

    def save(self) -> None:
        """Save now, if there is something new."""
        if self._order is None or not self._unsaved.is_set():
            return
        self._unsaved.clear()
        services, slices = self._cluster.known()
        heading = Header(FORMAT, self._clock(), self._order, self._cluster.node, self._cidrs, len(services), len(slices))
        self._memory.save(heading, services, slices)

    async def after_silence(self, answered: Callable[[], bool]) -> Checkpoint | None:
        """What the file says, if the API server has not `answered` by the time; None if it has, or there is no file."""
        await asyncio.sleep(SILENCE_S)
        remembered = None if answered() else self._memory.load()
        if remembered is not None and remembered.heading.node.name != self._cluster.node.name:
            _log.warning("last good state is another node's", node=remembered.heading.node.name)
            return None
        return remembered

    def put_back(self, last: Checkpoint) -> Finding:
        """Have the cluster as it was, as far as nothing newer is known; what the node's status is to say of it."""
        self._cluster.put_node(last.heading.node)
        self._cluster.restore(last.services, last.slices)
        at = datetime.fromtimestamp(last.heading.saved_at, UTC).isoformat(timespec="seconds")
        _log.warning("serving from memory", saved_at=at, services=self._cluster.services)
        text = f"the API server does not answer: Services are served as they were at {at}; make it reachable from this node"
        return Finding(Topic.AGENT, "ServingFromMemory", text)
