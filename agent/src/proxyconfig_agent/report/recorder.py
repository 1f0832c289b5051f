"""Passes on what the agent learns: to the NodeProxy's status, to Events, health and metrics. `agent` calls it; it decides nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NoReturn

from proxyconfig_agent.ingest.model import Family, Node, ServiceName
from proxyconfig_agent.report.events.events import NodeEvent, Posted, news, not_opened, repaired
from proxyconfig_agent.report.events.poster import SPREAD_S, EventPoster
from proxyconfig_agent.report.healthcheck.ports import Unopened
from proxyconfig_agent.report.http.health import Health
from proxyconfig_agent.report.metrics.metrics import Metrics
from proxyconfig_agent.report.status.conditions import Drift, NodeState
from proxyconfig_agent.report.status.nodeproxy import Reporter
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.findings import Finding, Source, Topic
from proxyconfig_agent.sync.result import SyncResult
from proxyconfig_api.nodeproxy import NodeProxyStatus
from proxyconfig_client.clock import Clock
from proxyconfig_client.events import Events

NAMED = 5
"""Things are named in a sentence up to so many."""


class StatusRecorder:
    """The newest state of the node, and everybody who wants to know it."""

    def __init__(
        self,
        cluster: ClusterState,
        metrics: Metrics,
        health: Health,
        version: str,
        clock: Clock,
        *,
        spread_s: float = SPREAD_S,
    ) -> None:
        """`spread_s`: over how long the nodes of a cluster spread what all of them say."""
        self._cluster, self._metrics, self._health, self._clock = cluster, metrics, health, clock
        self._reporter: Reporter | None = None
        self.state = NodeState(version=version)
        self._told = Posted()
        self._services_changed = self._endpoints_changed = 0
        self._findings: dict[Source, tuple[Finding, ...]] = {}
        self._herald = EventPoster(self._uid_of, self._holds, spread_s=spread_s)
        self._unopened: tuple[Unopened, ...] = ()

    def report_to(self, reporter: Reporter) -> None:
        """Tell `reporter` the state, now and whenever it changes."""
        self._reporter = reporter
        reporter.tell(self.state)

    def restarted(self, reported: NodeProxyStatus) -> None:
        """An earlier agent has reported this. What it applied is still in the kernel; whether that is up to date is not known yet."""
        self.update(generation=max(0, reported.observed_generation), revision=reported.observed_revision)

    def update(self, **fields: object) -> None:
        """Replace fields of the state."""
        state = dataclasses.replace(self.state, **fields)  # type: ignore[arg-type]
        if state != self.state:
            if state.mode != self.state.mode:
                self._metrics.mode(state.version, state.mode)
            self.state = state
            if self._reporter is not None:
                self._reporter.tell(state)

    def set_findings(self, source: Source, *findings: Finding) -> None:
        """`source` (the settings, the kernel, …) finds this now, instead of what it found before."""
        self._findings[source] = findings
        self.update(findings=tuple(finding for each in self._findings.values() for finding in each))
        self._herald.announce(*self._news())

    def node(self, node: Node, *, known: bool) -> None:
        self._health.node(known=known, deleted=node.deleted)

    def beat(self) -> None:
        """The event loop runs; to be called every second."""
        self._health.beat()
        self._count()

    def removed(self) -> None:
        """Nothing of this node's proxy is in the kernel any more."""
        self._health.programmed("this node's proxy was removed")

    def set_unhealthy(self, source: Source, reason: str) -> None:
        """Services cannot be expected to work here, and why; an empty reason takes back what `source` said before."""
        self._health.set_unhealthy(source, reason)

    def unopened(self, ports: Sequence[Unopened]) -> None:
        """These health check node ports cannot be opened: told on their Services, and in the status."""
        before, self._unopened = self._unopened, tuple(ports)
        self._herald.announce(*(not_opened(port) for port in ports if port not in before))
        names = ", ".join(map(str, ports[:NAMED])) + (f" and {len(ports) - NAMED} more" if len(ports) > NAMED else "")
        text = f"load balancers take this node for one without endpoints of these Services: {names}"
        self.set_findings(Source.HEALTH_CHECKS, *([Finding(Topic.AGENT, "HealthCheckNodePortsClosed", text)] if ports else []))

    def changed(self, *, services: int = 0, endpoints: int = 0) -> None:
        """Changes came in. Ten thousand at a start: they reach the metrics in sums."""
        self._services_changed += services
        self._endpoints_changed += endpoints

    def waiting(self) -> None:
        """A change waits for a sync."""
        self._health.queued()
        self._metrics.queued(self._clock.wall())

    def synced(self, sync: SyncResult) -> None:
        """A sync ended; after a successful one everything that was known is in the kernel."""
        self._count()
        self._metrics.synced(sync)
        if sync.error:
            self.set_findings(Source.SYNC, Finding(Topic.TRAFFIC, "SyncFailed", sync.error))
            self._health.set_unhealthy(Source.SYNC, f"the last {'audit' if sync.reason.is_audit else 'sync'} failed: {sync.error}")
            return
        self.set_findings(Source.SYNC)
        self._health.programmed()
        self._health.set_unhealthy(Source.SYNC, "")
        self._health.synced(Family)
        if sync.full:
            self._health.audited(sync.repaired)
        if sync.repaired:
            self._herald.announce(repaired(sync.repaired))
            self.update(drift=Drift(self.state.drift.repairs + 1, sync.ended_at, sync.repaired))
        self.update(programmed=True, services=sync.services, endpoints=sync.endpoints, refused=sync.refused)
        self._herald.announce(*self._news())

    def _count(self) -> None:
        if self._services_changed or self._endpoints_changed:
            self._metrics.changed(services=self._services_changed, endpoints=self._endpoints_changed)
            self._services_changed = self._endpoints_changed = 0

    def _news(self) -> tuple[NodeEvent, ...]:
        notices, self._told = news(self._told, self.state.refused, self.state.findings)
        return notices

    async def post(self, events: Events, node: str) -> NoReturn:
        """Post Events until cancelled."""
        await self._herald.run(events, node)

    def _holds(self, notice: NodeEvent) -> bool:
        refused = any((each.service, each.reason) == (notice.service, notice.note) for each in self._told.refused)
        return refused or notice in map(not_opened, self._unopened)

    def _uid_of(self, name: ServiceName) -> str:
        service = self._cluster.service(name)
        return service.uid if service else ""
