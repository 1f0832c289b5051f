"""The agent of one node, put together: what it watches, what it is to do, the runner that does it, and who is told.

All of it runs in one event loop. `Agent.run` ends only by cancellation, and leaves the kernel's state as it is: Services go on working.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, NoReturn, Protocol

import msgspec
import structlog

from proxyconfig_agent.app.active_mode import ActiveMode, Modes
from proxyconfig_agent.app.readiness import CacheReadiness
from proxyconfig_agent.dataplane.port import Dataplane, Settings
from proxyconfig_agent.dataplane.worker import in_thread
from proxyconfig_agent.ingest import apitypes
from proxyconfig_agent.ingest.nodes import node_of
from proxyconfig_agent.node import rtnetlink
from proxyconfig_agent.node.families import unserved_families
from proxyconfig_agent.node.host import Host
from proxyconfig_agent.node.known_addresses import KnownAddresses
from proxyconfig_agent.node.local_address import LocalAddress
from proxyconfig_agent.node.settings import listen_addresses, resolve
from proxyconfig_agent.report.healthcheck.ports import HealthPorts
from proxyconfig_agent.report.healthcheck.sync import HealthChecks
from proxyconfig_agent.report.recorder import StatusRecorder
from proxyconfig_agent.report.status.nodeproxy import Reporter
from proxyconfig_agent.state.checkpoint_loader import Checkpointer
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.findings import Finding, Source
from proxyconfig_agent.state.programmed import Programmed
from proxyconfig_agent.sync.result import SyncReason, SyncResult
from proxyconfig_agent.sync.runner import Runner
from proxyconfig_agent.sync.schedule import SyncIntervals, intervals_of
from proxyconfig_agent.watch.desired import Desired
from proxyconfig_agent.watch.informers import Informers
from proxyconfig_api import codec
from proxyconfig_api.conditions import Condition
from proxyconfig_api.names import GROUP
from proxyconfig_api.spec import ProxyConfigSpec
from proxyconfig_client.backoff import Backoff
from proxyconfig_client.clock import Clock
from proxyconfig_client.watch.objects import Key

BEAT_S = 1.0

_log = structlog.get_logger("agent")


class DesiredSource(Protocol):
    """Where a `Desired` comes from; runs until cancelled."""

    def run(self) -> Coroutine[Any, Any, None]: ...


Sources = Callable[[Callable[[Desired], None], Callable[[Finding | None], None]], DesiredSource]
"""Makes the source, of what it shall tell a Desired and what it shall tell a finding."""

Reporters = Callable[[tuple[Condition, ...]], Reporter | None]
"""Makes the reporter of the NodeProxy's status, of the conditions that an earlier agent left there; None: there is nobody to tell."""


class NodeController:
    """`watched` and `telling` have been given the same cluster."""

    def __init__(
        self,
        watched: Informers,
        cluster: ClusterState,
        programmed: Programmed,
        telling: StatusRecorder,
        host: Host,
        *,
        sources: Sources,
        modes: Modes,
        reporters: Reporters,
        health_ports: HealthPorts,
        recall: Checkpointer | None = None,
    ) -> None:
        self._watched, self._cluster, self._telling, self._host = watched, cluster, telling, host
        self._programmed = programmed
        self._sources, self._reporters = sources, reporters
        self._health_checks = HealthChecks(programmed, health_ports)
        self._news = asyncio.Event()
        self._knowledge = CacheReadiness(watched, cluster, telling, recall, self._news.set)
        self._local: tuple[LocalAddress, ...] | None = None
        self._known_addresses = KnownAddresses()
        self._desired: Desired | None = None
        self._adopting: Desired | None = None
        self._configured: ProxyConfigSpec | None = None
        self._mode = ActiveMode(modes, telling, stop=self._stop, again=self._news.set)
        self._reporter: Reporter | None = None
        self._reporting: asyncio.Task[None] | None = None
        self._runner: Runner | None = None
        self._running: asyncio.Task[NoReturn] | None = None
        self._decoded_s = 0.0

    def close(self) -> None:
        """Give back what is held, and keep what is known; the kernel's state stays."""
        self._knowledge.save()
        self._mode.close()

    async def run(self) -> NoReturn:
        """Serve this node until cancelled. Raises what no retry can help against."""
        source = self._sources(self._desire, self._trouble)
        self._watched.tell(self)
        async with asyncio.TaskGroup() as group:
            own = (self._addresses(), self._beat(), self._health_checks.run(), self._knowledge.run(self._may_serve))
            for work in (source.run(), *own):
                group.create_task(work)
            while True:
                await self._steer(group)
                await self._news.wait()
                self._news.clear()

    async def _may_serve(self, remembered: Desired) -> bool:
        """Whether memory counts, under the order of now if there is one: rules that are in the kernel are newer."""
        dataplane = await self._mode.use((self._desired or remembered).spec.mode)
        if dataplane is None:
            return False
        if await in_thread(dataplane.scan):
            _log.info("rules are newer than memory", advice="they stay until the API server answers")
            return False
        if self._desired is None:
            self._desire(remembered)
        return True

    def configuration(self) -> bytes:
        """The spec in effect as JSON under our group's name, as /configz of Kubernetes' components has it."""
        return msgspec.json.encode({GROUP: codec.builtins(self._configured)} if self._configured else {})

    def vouches_for(self) -> str:
        """The uid of the NodeProxy whose status is up to date; empty if there is none."""
        reported = self._reporter is not None and self._reporter.is_current
        return self._desired.uid if reported and self._desired is not None else ""

    def _desire(self, desired: Desired) -> None:
        before, self._desired = self._desired, desired
        if before is None and (reporter := self._reporters(desired.reported.conditions)):
            self._telling.restarted(desired.reported)
            self._telling.report_to(reporter)
            self._reporter = reporter
        elif before is not None and before.uid != desired.uid and self._reporter is not None:
            self._reporter.again()
        self._news.set()

    def _trouble(self, finding: Finding | None) -> None:
        self._telling.set_findings(Source.CONFIGURATION, *([finding] if finding else []))

    def service_changed(self, times: int = 1) -> None:
        self._telling.changed(services=times)
        self._wake()

    def endpoints_changed(self, times: int = 1) -> None:
        self._telling.changed(endpoints=times)
        self._wake()

    def cidrs_changed(self) -> None:
        self._news.set()

    def _wake(self) -> None:
        if self._runner is not None and self._cluster.pending:
            self._telling.waiting()
            self._runner.wake()

    def node_changed(self, _key: Key, item: apitypes.Node | None) -> None:
        """A Node object that is gone changes nothing here: the node is still there, and so are its pods."""
        node = node_of(item) if item else self._cluster.node
        if self._cluster.put_node(node):
            self._news.set()
            self._wake()
        self._telling.node(node, known=item is not None)

    async def _addresses(self) -> None:
        async for local in rtnetlink.watch():
            self._local = local
            self._news.set()

    async def _beat(self) -> NoReturn:
        while True:
            self._telling.beat()
            await asyncio.sleep(BEAT_S)

    async def _steer(self, group: asyncio.TaskGroup) -> None:
        """Bring what runs in line with what is desired."""
        if self._reporter is not None and self._reporting is None:
            self._reporting = group.create_task(self._reporter.run())
        if self._desired is None:
            return
        if self._desired.remove:
            await self._remove(self._desired)
        else:
            await self._configure(self._desired, group)

    async def _configure(self, desired: Desired, group: asyncio.TaskGroup) -> None:
        """Prepare the node and the mode as soon as they are known; run it as soon as the cluster is."""
        spec = desired.spec
        if spec != self._configured:
            self._telling.set_findings(Source.HOST, *self._host.configure(spec))
            self._configured = spec
        dataplane = await self._mode.use(spec.mode)
        if dataplane is None or self._local is None or not self._knowledge.complete:
            return
        addresses, kept = self._known_addresses.in_force(self._cluster.node.addresses, self._local)
        node = replace(self._cluster.node, addresses=addresses)
        settings, findings = resolve(spec, node, self._local, self._knowledge.service_cidrs())
        unserved = unserved_families(self._mode.unserved, node, settings.service_cidrs)
        self._telling.set_findings(Source.SETTINGS, *kept, *findings, *unserved)
        self._health_checks.listen(listen_addresses(settings, self._local))
        intervals = intervals_of(spec)
        if self._runner is None:
            self._runner = self._new_runner(dataplane, settings, intervals)
            self._running = group.create_task(self._runner.run())
            self._telling.waiting()
        elif not self._runner.configure(settings, intervals):
            self._adopt(desired)
            return
        self._adopting = desired

    def _new_runner(self, dataplane: Dataplane, settings: Settings, intervals: SyncIntervals) -> Runner:
        clock, backoff = Clock(), Backoff(first_s=0.5)
        tell = self._synced
        return Runner(self._cluster, self._programmed, dataplane, settings, tell, intervals=intervals, clock=clock, backoff=backoff)

    async def _stop(self) -> None:
        """End the runner, and wait for a sync that is under way; the kernel's state stays."""
        running, self._runner, self._running = self._running, None, None
        if running is not None:
            running.cancel()
            await asyncio.wait([running])

    def _synced(self, sync: SyncResult) -> None:
        before_s, self._decoded_s = self._decoded_s, self._watched.decode_s()
        self._telling.synced(replace(sync, stages_s={"decode": self._decoded_s - before_s, **sync.stages_s}))
        if sync.error:
            return
        self._health_checks.answer()
        if self._desired is not None and not self._desired.remove:
            self._knowledge.note(self._desired)
        if self._adopting is not None and sync.configured:
            self._adopt(self._adopting)
        if sync.reason is SyncReason.START:
            gc.collect()
            gc.freeze()  # what the first sync has made will stay: collections need not look at it again
        if sync.full and self._configured is not None:
            # After the first sync as well: conntrack's sysctls may have come with the rules that use it.
            self._telling.set_findings(Source.HOST, *self._host.configure(self._configured))

    def _adopt(self, desired: Desired) -> None:
        """What is desired is in effect now."""
        self._adopting = None
        self._telling.update(generation=desired.generation, revision=desired.revision, removed_objects=None)

    async def _remove(self, desired: Desired) -> None:
        """Leave nothing in the kernel, and prove it; once is enough."""
        if self._telling.state.removed_objects == 0 and self._telling.state.generation == desired.generation:
            return
        await self._stop()
        self._adopting = self._configured = None
        left = await self._mode.remove()
        if left is None:
            return
        self._programmed.clear()
        self._knowledge.discard()
        self._health_checks.answer()
        self._telling.removed()
        self._telling.set_findings(Source.HOST, *self._host.restore())
        self._telling.update(
            generation=desired.generation, revision=desired.revision, programmed=False, services=0, endpoints=0, removed_objects=len(left)
        )
        _log.info("removed", left=left)
