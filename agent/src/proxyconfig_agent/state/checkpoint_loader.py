"""Keeps the checkpoint file up to date, and loads it while the API server does not answer."""

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

SAVE_AFTER_S = 60.0
"""From a change to the file: changes are written together."""

SAVE_EVERY_S = 600.0
"""The shortest time between two writes while changes go on: 7 MB of 5,000 Services of 10 endpoints are 1 GB a day then."""

_log = structlog.get_logger("checkpoint")


class Checkpointer:
    """What this node last knew. `clock` returns Unix seconds."""

    def __init__(self, file: CheckpointFile, cluster: ClusterState, clock: Callable[[], float] = time.time) -> None:
        self._file, self._cluster, self._clock = file, cluster, clock
        self._order: NodeOrder | None = None
        self._cidrs: tuple[Network, ...] = ()
        self._unsaved = asyncio.Event()

    def note(self, order: NodeOrder, service_cidrs: tuple[Network, ...]) -> None:
        """The kernel has the state of the cluster, under this order; it is to be saved soon."""
        self._order, self._cidrs = order, service_cidrs
        self._unsaved.set()

    async def run(self) -> NoReturn:
        """Save what was noted, now and then, in a thread: the event loop does not wait for a disk."""
        while True:
            await self._unsaved.wait()
            await asyncio.sleep(SAVE_AFTER_S)
            if (checkpoint := self._unsaved_checkpoint()) is not None:
                await asyncio.to_thread(self._file.save, checkpoint.heading, checkpoint.services, checkpoint.slices)
            await asyncio.sleep(SAVE_EVERY_S - SAVE_AFTER_S)

    def save(self) -> None:
        """Save now, if there is something new."""
        if (checkpoint := self._unsaved_checkpoint()) is not None:
            self._file.save(checkpoint.heading, checkpoint.services, checkpoint.slices)

    def discard(self) -> None:
        """Delete the file: the next boot is to serve nothing, until something is noted again."""
        self._order = None
        self._file.delete()

    def _unsaved_checkpoint(self) -> Checkpoint | None:
        """What is new since the last call."""
        if self._order is None or not self._unsaved.is_set():
            return None
        self._unsaved.clear()
        services, slices = self._cluster.known()
        heading = Header(FORMAT, self._clock(), self._order, self._cluster.node, self._cidrs, len(services), len(slices))
        return Checkpoint(heading, tuple(services), tuple(slices))

    async def after_silence(self, answered: Callable[[], bool]) -> Checkpoint | None:
        """What the file says, if the API server has not `answered` by the time; None if it has, or there is no file."""
        await asyncio.sleep(SILENCE_S)
        remembered = None if answered() else await asyncio.to_thread(self._file.load)
        if remembered is not None and remembered.heading.node.name != self._cluster.node.name:
            _log.warning("checkpoint is another node's", node=remembered.heading.node.name)
            return None
        return remembered

    def put_back(self, last: Checkpoint) -> Finding:
        """Have the cluster as it was, as far as nothing newer is known; what the node's status is to say of it."""
        self._cluster.put_node(last.heading.node)
        self._cluster.restore(last.services, last.slices)
        at = datetime.fromtimestamp(last.heading.saved_at, UTC).isoformat(timespec="seconds")
        _log.warning("serving from checkpoint", saved_at=at, services=self._cluster.services)
        text = f"the API server does not answer: Services are served from the checkpoint of {at}; make it reachable from this node"
        return Finding(Topic.AGENT, "ServingFromCheckpoint", text)
