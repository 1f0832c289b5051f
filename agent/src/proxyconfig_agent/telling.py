"""Passes on what the agent learns: to the NodeProxy's status, to Events, health and metrics. `agent` calls it; it decides nothing."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Literal, NoReturn

from proxyconfig_agent.cluster import Cluster
from proxyconfig_agent.ingest.values import Family, Node
from proxyconfig_agent.node.finding import Finding, Topic
from proxyconfig_agent.report.conditions import Drift, NodeState
from proxyconfig_agent.report.health import Health
from proxyconfig_agent.report.metrics import Metrics
from proxyconfig_agent.report.nodeproxy import Reporter
from proxyconfig_agent.report.notices import Notice, Told, news, repaired
from proxyconfig_agent.sync import Sync
from proxyconfig_client.events import Events, Reference

WAITING_EVENTS = 100
"""More than that at once are dropped: an Event is a courtesy, and the status names what matters."""


class Telling:
    """The newest state of the node, and everybody who wants to know it. `clock` returns Unix seconds."""

    def __init__(self, cluster: Cluster, metrics: Metrics, health: Health, version: str, clock: Callable[[], float]) -> None:
        self._cluster, self._metrics, self._health, self._clock = cluster, metrics, health, clock
        self._reporter: Reporter | None = None
        self.state = NodeState(version=version)
        self._told = Told()
        self._services_changed = self._endpoints_changed = 0
        self._findings: dict[str, tuple[Finding, ...]] = {}
        self._notices: asyncio.Queue[Notice] = asyncio.Queue(WAITING_EVENTS)
        metrics.count_local(cluster.programmed)

    def report_to(self, reporter: Reporter) -> None:
        """Tell `reporter` the state, now and whenever it changes."""
        self._reporter = reporter
        reporter.tell(self.state)

    def update(self, **fields: object) -> None:
        """Replace fields of the state."""
        state = dataclasses.replace(self.state, **fields)  # type: ignore[arg-type]
        if state != self.state:
            if state.mode != self.state.mode:
                self._metrics.mode(state.version, state.mode)
            self.state = state
            if self._reporter is not None:
                self._reporter.tell(state)

    def found(self, source: str, *findings: Finding) -> None:
        """`source` (the settings, the kernel, …) finds this now, instead of what it found before."""
        self._findings[source] = findings
        self.update(findings=tuple(finding for each in self._findings.values() for finding in each))
        self._notify(*self._news())

    def node(self, node: Node, *, known: bool) -> None:
        self._health.node(known=known, deleted=node.deleted)

    def beat(self) -> None:
        """The event loop runs; to be called every second."""
        self._health.beat()
        self._count()

    def broken(self, reason: str) -> None:
        """Nothing can be programmed, and why; empty: it can."""
        self._health.broken(reason)

    def changed(self, *, services: int = 0, endpoints: int = 0) -> None:
        """Changes came in. Ten thousand at a start: they reach the metrics in sums."""
        self._services_changed += services
        self._endpoints_changed += endpoints

    def waiting(self) -> None:
        """A change waits for a sync."""
        self._health.queued()
        self._metrics.queued(self._clock())

    def synced(self, sync: Sync) -> None:
        """A sync ended; after a successful one everything that was known is in the kernel."""
        self._count()
        self._metrics.synced(sync)
        if sync.error:
            self.found("sync", Finding(Topic.TRAFFIC, "SyncFailed", sync.error))
            return
        self.found("sync")
        self._health.synced(Family)
        if sync.repaired:
            self._notify(repaired(sync.repaired))
            self.update(drift=Drift(self.state.drift.repairs + 1, sync.ended_at, sync.repaired))
        self.update(programmed=True, services=sync.services, endpoints=sync.endpoints, refused=sync.refused)
        self._notify(*self._news())

    def _count(self) -> None:
        if self._services_changed or self._endpoints_changed:
            self._metrics.changed(services=self._services_changed, endpoints=self._endpoints_changed)
            self._services_changed = self._endpoints_changed = 0

    def _news(self) -> tuple[Notice, ...]:
        notices, self._told = news(self._told, self.state.refused, self.state.findings)
        return notices

    def _notify(self, *notices: Notice) -> None:
        for notice in notices:
            if not self._notices.full():
                self._notices.put_nowait(notice)

    async def post(self, events: Events, node: str) -> NoReturn:
        """Post Events until cancelled."""
        while True:
            notice = await self._notices.get()
            kind: Literal["Normal", "Warning"] = "Warning" if notice.warning else "Normal"
            await events.post(self._about(notice, node), notice.reason, notice.note, action=notice.action, kind=kind)

    def _about(self, notice: Notice, node: str) -> Reference:
        if notice.service is None:
            return Reference("v1", "Node", node, uid=node)  # kubelet's and kube-proxy's Events on a Node have its name as uid, too
        service = self._cluster.service(notice.service)
        return Reference("v1", "Service", notice.service.name, notice.service.namespace, service.uid if service else "")
