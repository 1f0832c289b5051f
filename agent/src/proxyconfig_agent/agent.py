"""The agent of one node, put together: what it watches, what it is to do, the runner that does it, and who is told.

All of it runs in one event loop. `Agent.run` ends only by cancellation, and leaves the kernel's state as it is: Services go on working.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, NoReturn, Protocol

import msgspec
import structlog

from proxyconfig_agent.cluster import Cluster
from proxyconfig_agent.ingest import wire
from proxyconfig_agent.ingest.nodes import node_of, service_cidrs_of
from proxyconfig_agent.ingest.values import Address, Network
from proxyconfig_agent.memory import order_of
from proxyconfig_agent.mode import ModeInUse, Modes
from proxyconfig_agent.node import addresses
from proxyconfig_agent.node.addresses import LocalAddress
from proxyconfig_agent.node.finding import Finding
from proxyconfig_agent.node.host import Host
from proxyconfig_agent.node.settings import listen_addresses, resolve
from proxyconfig_agent.pace import Pace
from proxyconfig_agent.recall import Recall
from proxyconfig_agent.report.healthports import HealthPorts
from proxyconfig_agent.report.nodeproxy import Reporter
from proxyconfig_agent.runner import Clock, Runner
from proxyconfig_agent.sync import Reason, Sync
from proxyconfig_agent.telling import Telling
from proxyconfig_agent.watch.desired import Desired
from proxyconfig_agent.watch.watched import Watched
from proxyconfig_api import codec
from proxyconfig_api.conditions import Condition
from proxyconfig_api.names import GROUP
from proxyconfig_api.spec import ProxyConfigSpec
from proxyconfig_client.backoff import Backoff
from proxyconfig_client.objects import Key

CIDRS_WITHIN_S = 2.0
"""How long the first sync waits for the ServiceCIDRs; without them it only drops nothing for unallocated addresses."""

BEAT_S = 1.0

_log = structlog.get_logger("agent")


class Source(Protocol):
    """Where a `Desired` comes from; runs until cancelled."""

    def run(self) -> Coroutine[Any, Any, None]: ...


Sources = Callable[[Callable[[Desired], None], Callable[[Finding | None], None]], Source]
"""Makes the source, of what it shall tell a Desired and what it shall tell a finding."""

Reporters = Callable[[tuple[Condition, ...]], Reporter | None]
"""Makes the reporter of the NodeProxy's status, of the conditions that an earlier agent left there; None: there is nobody to tell."""


class Agent:
    """`watched` and `telling` have been given the same cluster."""

    def __init__(
        self,
        watched: Watched,
        cluster: Cluster,
        telling: Telling,
        host: Host,
        *,
        sources: Sources,
        modes: Modes,
        reporters: Reporters,
        health_ports: HealthPorts,
        recall: Recall | None = None,
    ) -> None:
        self._watched, self._cluster, self._telling, self._host = watched, cluster, telling, host
        self._sources, self._reporters, self._recall = sources, reporters, recall
        self._health_ports = health_ports
        self._news = asyncio.Event()
        self._known = False
        self._remembered_cidrs: tuple[Network, ...] = ()
        self._local: tuple[LocalAddress, ...] | None = None
        self._listen_on: tuple[Address, ...] | None = ()
        self._answered: tuple[int, tuple[Address, ...] | None] = (0, ())
        self._desired: Desired | None = None
        self._adopting: Desired | None = None
        self._configured: ProxyConfigSpec | None = None
        self._mode = ModeInUse(modes, telling, stop=self._stop, again=self._news.set)
        self._reporter: Reporter | None = None
        self._reporting: asyncio.Task[None] | None = None
        self._runner: Runner | None = None
        self._running: asyncio.Task[NoReturn] | None = None
        self._decoded_s = 0.0

    def close(self) -> None:
        """Give back what is held, and keep what is known; the kernel's state stays."""
        if self._recall is not None:
            self._recall.save()
        self._mode.close()

    async def run(self) -> NoReturn:
        """Serve this node until cancelled. Raises what no retry can help against."""
        source, watched = self._sources(self._desire, self._trouble), self._watched
        watched.tell(self)
        async with asyncio.TaskGroup() as group:
            for work in (source.run(), self._addresses(), self._beat(), self._health_ports.run()):
                group.create_task(work)
            synced = (watched.services.synced, watched.slices.synced, watched.node.synced)
            group.create_task(self._learn(*synced, within_reason=watched.cidrs.synced))
            if self._recall is not None:
                group.create_task(self._recall.run())
                group.create_task(self._remember(self._recall))
            while True:
                self._steer(group)
                await self._news.wait()
                self._news.clear()

    async def _learn(self, *synced: asyncio.Event, within_reason: asyncio.Event) -> None:
        """Wait until the cluster is known as a whole; what was not listed yet would be taken for deleted."""
        for event in synced:
            await event.wait()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(within_reason.wait(), CIDRS_WITHIN_S)
        _log.info("cluster known", services=self._cluster.services, decode_s=round(self._watched.decode_s(), 4))
        self._known = True
        self._telling.found("memory")
        self._news.set()

    async def _remember(self, recall: Recall) -> None:
        """Serve what was last known if the API server is silent and the kernel has nothing; rules that are there are newer."""
        last = await recall.after_silence(lambda: self._known)
        if last is None:
            return
        order = last.heading.order
        desired = self._desired or Desired(order.parsed(), order.generation, order.revision, uid=order.uid)
        dataplane = self._mode.use(desired.spec.mode)
        if self._known or dataplane is None:
            return
        if dataplane.scan():
            _log.info("rules are newer than memory", advice="they stay until the API server answers")
            return
        self._telling.found("memory", recall.put_back(last))
        self._remembered_cidrs = last.heading.service_cidrs
        self._known = True
        if self._desired is None:
            self._desire(desired)
        self._news.set()

    def configuration(self) -> bytes:
        """The spec in effect as JSON under our group's name, as /configz of Kubernetes' components has it."""
        return msgspec.json.encode({GROUP: codec.builtins(self._configured)} if self._configured else {})

    def _desire(self, desired: Desired) -> None:
        before, self._desired = self._desired, desired
        if before is None and (reporter := self._reporters(desired.conditions)):
            self._telling.report_to(reporter)
            self._reporter = reporter
        elif before is not None and before.uid != desired.uid and self._reporter is not None:
            self._reporter.again()
        self._news.set()

    def _trouble(self, finding: Finding | None) -> None:
        self._telling.found("configuration", *([finding] if finding else []))

    def service_changed(self, times: int = 1) -> None:
        self._telling.changed(services=times)
        self._wake()

    def endpoints_changed(self, times: int = 1) -> None:
        self._telling.changed(endpoints=times)
        self._wake()

    def cidrs_changed(self) -> None:
        self._news.set()

    def _wake(self) -> None:
        if self._runner is not None and self._cluster.dirty:
            self._telling.waiting()
            self._runner.wake()

    def node_changed(self, _key: Key, item: wire.Node | None) -> None:
        """A Node object that is gone changes nothing here: the node is still there, and so are its pods."""
        node = node_of(item) if item else self._cluster.node
        if self._cluster.put_node(node):
            self._news.set()
            self._wake()
        self._telling.node(node, known=item is not None)

    async def _addresses(self) -> None:
        async for local in addresses.watch():
            self._local = local
            self._news.set()

    async def _beat(self) -> NoReturn:
        while True:
            self._telling.beat()
            await asyncio.sleep(BEAT_S)

    def _steer(self, group: asyncio.TaskGroup) -> None:
        """Bring what runs in line with what is desired."""
        if self._reporter is not None and self._reporting is None:
            self._reporting = group.create_task(self._reporter.run())
        if self._desired is None:
            return
        if self._desired.remove:
            self._remove(self._desired)
        else:
            self._configure(self._desired, group)

    def _configure(self, desired: Desired, group: asyncio.TaskGroup) -> None:
        """Prepare the node and the mode as soon as they are known; run it as soon as the cluster is."""
        spec = desired.spec
        if spec != self._configured:
            self._telling.found("host", *self._host.configure(spec))
            self._configured = spec
        dataplane = self._mode.use(spec.mode)
        if dataplane is None or self._local is None or not self._known:
            return
        settings, findings = resolve(spec, self._cluster.node, self._local, self._service_cidrs())
        self._telling.found("settings", *findings)
        self._listen_on = listen_addresses(settings, self._local)
        self._answer_health_checks()
        pace = _pace(spec)
        if self._runner is None:
            self._runner = Runner(self._cluster, dataplane, settings, self._synced, pace=pace, clock=Clock(), backoff=Backoff(first_s=0.5))
            self._running = group.create_task(self._runner.run())
            self._telling.waiting()
        elif not self._runner.configure(settings, pace):
            self._adopt(desired)
            return
        self._adopting = desired

    def _stop(self) -> None:
        """End the runner; the kernel's state stays."""
        if self._running is not None:
            self._running.cancel()
        self._runner = self._running = None

    def _synced(self, sync: Sync) -> None:
        before_s, self._decoded_s = self._decoded_s, self._watched.decode_s()
        self._telling.synced(replace(sync, stages_s={"decode": self._decoded_s - before_s, **sync.stages_s}))
        if sync.error:
            return
        self._answer_health_checks()
        self._note()
        if self._adopting is not None:
            self._adopt(self._adopting)
        if sync.reason is Reason.START:
            gc.collect()
            gc.freeze()  # what the first sync has made will stay: collections need not look at it again
        if sync.full and self._configured is not None:
            # After the first sync as well: conntrack's sysctls may have come with the rules that use it.
            self._telling.found("host", *self._host.configure(self._configured))

    def _answer_health_checks(self) -> None:
        """Most changes are none of theirs, and there may be thousands."""
        answered, self._answered = self._answered, (self._cluster.health_checks_changed, self._listen_on)
        if answered != self._answered:
            self._health_ports.want(self._cluster.health_checks(), self._listen_on)

    def _note(self) -> None:
        """Have what is known now kept for the next boot."""
        if self._recall is not None and self._desired is not None and not self._desired.remove:
            desired = self._desired
            self._recall.note(order_of(desired.spec, desired.generation, desired.revision, desired.uid), self._service_cidrs())

    def _service_cidrs(self) -> tuple[Network, ...]:
        return service_cidrs_of(self._watched.service_cidrs()) or self._remembered_cidrs

    def _adopt(self, desired: Desired) -> None:
        """What is desired is in effect now."""
        self._adopting = None
        self._telling.update(generation=desired.generation, revision=desired.revision, removed_objects=None)

    def _remove(self, desired: Desired) -> None:
        """Leave nothing in the kernel, and prove it; once is enough."""
        if self._telling.state.removed_objects == 0 and self._telling.state.generation == desired.generation:
            return
        self._stop()
        self._adopting = self._configured = None
        left = self._mode.remove()
        if left is None:
            return
        self._cluster.forget()
        self._answer_health_checks()
        self._telling.broken("start", "this node's proxy was removed")
        self._telling.found("host", *self._host.restore())
        self._telling.update(
            generation=desired.generation, revision=desired.revision, programmed=False, services=0, endpoints=0, removed_objects=len(left)
        )
        _log.info("removed", left=left)


def _pace(spec: ProxyConfigSpec) -> Pace:
    poll_s = float(spec.nftables.drift_check_period) if spec.nftables else Pace().poll_s
    return Pace(min_s=float(spec.sync.min_sync_period), full_s=float(spec.sync.full_sync_period), poll_s=poll_s)
