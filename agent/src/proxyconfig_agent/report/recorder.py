"""The status recorder: passes what the controller learns to the NodeProxy's status, Events, health and metrics. It decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

import structlog
from msgspec import Struct
from msgspec.structs import replace

from proxyconfig_agent.ingest.model import Family, Node, ServiceName
from proxyconfig_agent.node.host import HostState
from proxyconfig_agent.report.events.events import NodeEvent, Posted, discarded, mode_changed, new_events, not_opened, repaired
from proxyconfig_agent.report.events.poster import SPREAD_S, EventPoster
from proxyconfig_agent.report.healthcheck.ports import Unopened
from proxyconfig_agent.report.http.health import Health
from proxyconfig_agent.report.metrics.metrics import Metrics
from proxyconfig_agent.report.status.conditions import Drift, NodeState, without_explained
from proxyconfig_agent.report.status.nodeproxy import Reporter
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.findings import Finding, Source, Topic
from proxyconfig_agent.sync.result import SyncResult
from proxyconfig_agent.watch.desired import Desired
from proxyconfig_api.objects.nodeproxy import ModeStatus, NodeProxyStatus
from proxyconfig_api.status.messages import listed
from proxyconfig_api.status.rollout import ChangeStatus
from proxyconfig_client.apiserver.events import Events
from proxyconfig_client.process.clock import Clock

_log = structlog.get_logger("recorder")


class StatusUpdate(Struct, frozen=True):
    """What one sync changes of the node's status: written and posted as one."""

    sync: SyncResult
    applied: Desired | None = None
    """What is in effect from this sync on."""
    host: HostState | None = None
    """What the node's sysctls and modules were found to be; None: not looked at."""


class StatusRecorder:
    """The newest state of the node, for its status, Events, health and metrics."""

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
        self._posted = Posted()
        self._ran = ""
        self._services_changed = self._endpoints_changed = 0
        self._findings: dict[Source, tuple[Finding, ...]] = {}
        self._poster = EventPoster(self._uid_of, self._still_true, spread_s=spread_s)
        self._unopened: tuple[Unopened, ...] = ()

    def report_to(self, reporter: Reporter) -> None:
        """Tell `reporter` the state, now and whenever it changes."""
        self._reporter = reporter
        reporter.tell(self.state)

    def restarted(self, reported: NodeProxyStatus) -> None:
        """An earlier agent has reported this. What it applied is still in the kernel; whether that is up to date is not known yet."""
        self._ran = reported.mode.effective
        generation, revision = max(0, reported.observed_generation), reported.observed_revision
        fields = {"mode": reported.mode, "capabilities": reported.capabilities, "change": reported.change}
        self.update(generation=generation, revision=revision, **fields)

    def update(self, **fields: object) -> None:
        """Replace fields of the state."""
        self._change({}, **fields)

    def mode(self, mode: ModeStatus) -> None:
        """The mode that runs, and why."""
        self._poster.announce(*mode_changed(self._ran, mode))
        self._ran = mode.effective or self._ran
        self.update(mode=mode)

    def set_findings(self, source: Source, *findings: Finding) -> None:
        """`source` finds this now, instead of what it found before."""
        self._change({source: findings})

    def set_finding(self, source: Source, finding: Finding | None) -> None:
        """`source` finds this alone now, or nothing."""
        self.set_findings(source, *([finding] if finding is not None else []))

    def host(self, host: HostState) -> None:
        """The node's sysctls and modules were found to be so."""
        self._change({Source.HOST: host.findings}, modules=host.modules)

    def change(self, change: ChangeStatus | None, finding: Finding | None) -> None:
        """How far the node is with its change, and what is wrong with it."""
        self._change({Source.CHANGE: (finding,) if finding is not None else ()}, change=change)

    def applied(self, desired: Desired) -> None:
        """The node is as desired."""
        self._change({}, **_applied(desired))

    def _change(self, findings: Mapping[Source, tuple[Finding, ...]], **fields: object) -> None:
        """All changes of the state go through here: one write of the status, and one set of Events, per call."""
        self._findings.update(findings)
        found = tuple(finding for each in self._findings.values() for finding in each)
        state = without_explained(replace(self.state, findings=found, **fields))
        if state == self.state:
            return
        if state.mode.effective != self.state.mode.effective:
            self._metrics.mode(state.version, state.mode.effective)
        self.state = state
        if self._reporter is not None:
            self._reporter.tell(state)
        self._announce()

    def node(self, node: Node, *, known: bool) -> None:
        self._health.node(known=known, deleted=node.deleted)

    def beat(self) -> None:
        """The event loop runs; to be called every second."""
        self._health.beat()
        self._count()

    def removed(self, desired: Desired, *, left: int, host: tuple[Finding, ...], chains_stay: bool = False) -> None:
        """The node's proxy was removed, as desired; a scan still finds `left` objects. `chains_stay`: those of iptables mode."""
        self._health.programmed("this node's proxy was removed")
        fields = _applied(desired) | {"removed_objects": left, "chains_stay": chains_stay}
        self._change({Source.HOST: host, Source.MODE: ()}, **fields, programmed=False, services=0, endpoints=0)

    def discarded(self, what: str, kept: Sequence[str]) -> None:
        """What another proxy had left was removed, but for what was `kept`."""
        self._poster.announce(discarded(what, kept))

    def set_unhealthy(self, source: Source, reason: str) -> None:
        """Services cannot be expected to work here, and why; an empty reason takes back what `source` said before."""
        self._health.set_unhealthy(source, reason)

    def unopened(self, ports: Sequence[Unopened]) -> None:
        """These health check node ports cannot be opened: told on their Services, and in the status."""
        before, self._unopened = self._unopened, tuple(ports)
        self._poster.announce(*(not_opened(port) for port in ports if port not in before))
        text = f"health check node ports are not open; load balancers will skip this node for: {listed(ports)}"
        self.set_findings(Source.HEALTH_CHECKS, *([Finding(Topic.AGENT, "HealthCheckNodePortsClosed", text)] if ports else []))

    def changed(self, *, services: int = 0, endpoints: int = 0) -> None:
        """Changes came in. Ten thousand at a start: they reach the metrics in sums."""
        self._services_changed += services
        self._endpoints_changed += endpoints

    def waiting(self) -> None:
        """A change waits for a sync."""
        self._health.queued()
        self._metrics.queued(self._clock.wall())

    def stopped(self) -> None:
        """There will be no sync that a change could wait for."""
        self._health.synced(())

    def synced(self, update: StatusUpdate) -> None:
        """A sync ended; after a successful one everything that was known is in the kernel."""
        sync = update.sync
        self._count()
        self._metrics.synced(sync)
        if sync.error:
            self._health.set_unhealthy(Source.SYNC, f"the last {'audit' if sync.reason.is_audit else 'sync'} failed: {sync.error}")
            self.set_findings(Source.SYNC, Finding(Topic.TRAFFIC, "SyncFailed", sync.error))
            return
        self._healthy(sync)
        if sync.repaired:
            self._poster.announce(repaired(sync.repaired))
        found = {Source.SYNC: ()} | ({Source.HOST: update.host.findings} if update.host is not None else {}) | _told_by_full(sync)
        fields = _applied(update.applied) if update.applied is not None else {}
        if update.host is not None:
            fields["modules"] = update.host.modules
        if sync.repaired:
            fields["drift"] = Drift(self.state.drift.repairs + 1, sync.ended_at, sync.repaired)
        self._change(found, **fields, programmed=True, services=sync.services, endpoints=sync.endpoints, refused=sync.refused)

    def _healthy(self, sync: SyncResult) -> None:
        self._health.programmed()
        self._health.set_unhealthy(Source.SYNC, "")
        self._health.synced(Family)
        if sync.full:
            self._health.audited(sync.repaired)

    def _count(self) -> None:
        if self._services_changed or self._endpoints_changed:
            self._metrics.changed(services=self._services_changed, endpoints=self._endpoints_changed)
            self._services_changed = self._endpoints_changed = 0

    def _announce(self) -> None:
        """Post what is new. Without room for all of it the rest stays new until the next change."""
        events, self._posted, left = new_events(self._posted, self.state.refused, self.state.findings, self._poster.room)
        self._poster.announce(*events)
        if left:
            _log.warning("events postponed", number=left)

    async def post(self, events: Events, node: str) -> NoReturn:
        """Post Events until cancelled."""
        await self._poster.run(events, node)

    def _still_true(self, event: NodeEvent) -> bool:
        refused = any((each.service, each.reason) == (event.service, event.note) for each in self._posted.refused)
        return refused or event in map(not_opened, self._unopened)

    def _uid_of(self, name: ServiceName) -> str:
        service = self._cluster.service(name)
        return service.uid if service else ""


def _applied(desired: Desired) -> dict[str, object]:
    """The fields of a NodeState for what is in effect."""
    return {"generation": desired.generation, "revision": desired.revision, "removed_objects": None}


def _told_by_full(sync: SyncResult) -> dict[Source, tuple[Finding, ...]]:
    """Only a full sync records whose the rules are, and asks the kernel for the scheduler."""
    if not sync.full:
        return {}
    return {
        Source.OWNERSHIP: (Finding(Topic.AGENT, "RulesNotRecorded", sync.unrecorded),) if sync.unrecorded else (),
        Source.SCHEDULER: (Finding(Topic.AGENT, "SchedulerMissing", sync.unscheduled),) if sync.unscheduled else (),
    }
