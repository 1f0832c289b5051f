"""The controller of one node: collects what is known, asks `step` what to do next, and does it.

All of it runs in one event loop. `run` ends only by cancellation, and leaves the kernel's state as it is: Services go on working.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import NoReturn

import msgspec
import structlog
from msgspec.structs import replace

from proxyconfig_agent.controller import garbage
from proxyconfig_agent.controller import step as steps
from proxyconfig_agent.controller.active.active_mode import ActiveMode, Modes
from proxyconfig_agent.controller.active.active_runner import ActiveRunner
from proxyconfig_agent.controller.beat import beat
from proxyconfig_agent.controller.change.transaction import Observation, Transaction
from proxyconfig_agent.controller.cluster_changes import ClusterChanges
from proxyconfig_agent.controller.inputs.arrival_watch import ArrivalWatch
from proxyconfig_agent.controller.inputs.neighbour import Neighbour
from proxyconfig_agent.controller.inputs.node_addresses import NodeAddresses
from proxyconfig_agent.controller.inputs.other_proxy import OtherProxy
from proxyconfig_agent.controller.inputs.readiness import CacheReadiness
from proxyconfig_agent.controller.inputs.sources import Reporters, Sources
from proxyconfig_agent.controller.leaving import Depart, Leaving, Parts
from proxyconfig_agent.controller.retry import RetryTimer
from proxyconfig_agent.controller.step import Inputs, Plan, Prepare, Step, Wait, next_step
from proxyconfig_agent.node.host import Host
from proxyconfig_agent.report.healthcheck.ports import HealthPorts
from proxyconfig_agent.report.healthcheck.sync import HealthChecks
from proxyconfig_agent.report.recorder import StatusRecorder, StatusUpdate
from proxyconfig_agent.report.status.nodeproxy import Reporter
from proxyconfig_agent.report.watches import Watches
from proxyconfig_agent.state.checkpoint_loader import Checkpointer
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.findings import Source
from proxyconfig_agent.state.programmed import Programmed
from proxyconfig_agent.sync.result import SyncReason, SyncResult
from proxyconfig_agent.watch.desired import Desired
from proxyconfig_agent.watch.informers import Informers
from proxyconfig_api.encoding import codec
from proxyconfig_api.objects.names import GROUP

_log = structlog.get_logger("agent")


class NodeController:
    """Keeps a node at what is desired of it. `informers` and `recorder` have been given the same cluster."""

    def __init__(
        self,
        informers: Informers,
        cluster: ClusterState,
        programmed: Programmed,
        recorder: StatusRecorder,
        host: Host,
        *,
        sources: Sources,
        modes: Modes,
        reporters: Reporters,
        health_ports: HealthPorts,
        watches: Watches,
        observation: Observation,
        other_proxy: OtherProxy,
        depart: Depart,
        checkpointer: Checkpointer | None = None,
    ) -> None:
        self._informers, self._cluster, self._recorder, self._host = informers, cluster, recorder, host
        self._programmed, self._watches, self._sources, self._reporters = programmed, watches, sources, reporters
        self._health_checks = HealthChecks(programmed, health_ports)
        self._changed, self._group = asyncio.Event(), asyncio.TaskGroup()
        self._readiness = CacheReadiness(informers, cluster, recorder, checkpointer, self._changed.set)
        self._retry, self._addresses = RetryTimer(self._changed.set), NodeAddresses(self._changed.set)
        self._runner = ActiveRunner(cluster, programmed, self._synced)
        self.changes = ClusterChanges(cluster=cluster, recorder=recorder, runner=self._runner, wake=self._changed.set)
        self._active = ActiveMode(modes, recorder, stop=self._runner.stop)
        self._transaction = Transaction(
            cluster, recorder, observation, self._changed.set, has_rules=self._active.has_rules, known=self._readiness.known
        )
        self._neighbour = Neighbour(other_proxy, cluster, recorder, has_rules=self._active.has_rules, changed=self._changed.set)
        self._arrival = ArrivalWatch(other_proxy, cluster, recorder, changed=self._changed.set)
        served = (self._runner, self._active, self._neighbour, self._readiness, programmed, self._health_checks)
        self._leaving = Leaving(Parts(*served, recorder, host, self._retry), depart)
        self._reporter: Reporter | None = None
        self._desired: Desired | None = None
        self._prepared: Prepare | None = None
        self._decoded_s = 0.0

    def close(self) -> None:
        """Give back what is held, and keep what is known; the kernel's state stays."""
        self._readiness.save()
        self._leaving.serve()
        self._active.close()

    async def run(self) -> NoReturn:
        """Serve this node until cancelled. Raises what no retry can help against."""
        source = self._sources(self._set_desired, partial(self._recorder.set_finding, Source.CONFIGURATION))
        async with self._group as group:
            self._informers.tell(self.changes)
            beats = beat(self._recorder, self._transaction, self._watches, self._active, self._changed.set)
            own = (self._addresses.watch(), beats, self._health_checks.run(), self._readiness.run(self._may_use_checkpoint))
            others = (self._neighbour.run(), self._neighbour.observer.run(), self._arrival.run())
            for work in (source.run(), self._transaction.run(), *others, *own):
                group.create_task(work)
            while True:
                self._changed.clear()
                while not isinstance(step := next_step(self._inputs()), Wait):
                    await self._carry_out(step)
                await self._changed.wait()

    def configuration(self) -> bytes:
        """The spec in effect as JSON under our group's name, as /configz of Kubernetes' components has it; empty while there is none.

        The name is always there: by it a look for other proxies tells an agent from a kube-proxy."""
        return msgspec.json.encode({GROUP: codec.builtins(self._prepared.spec) if self._prepared else {}})

    def vouches_for(self) -> str:
        """The uid of the NodeProxy whose status is up to date; empty if there is none."""
        reported = self._reporter is not None and self._reporter.is_current
        return self._desired.uid if reported and self._desired is not None else ""

    def _set_desired(self, desired: Desired) -> None:
        before, self._desired = self._desired, desired
        if before is None and (reporter := self._reporters(desired.reported.conditions)):
            self._recorder.restarted(desired.reported)
            self._active.restarted(desired.reported.mode.effective, desired.reported.capabilities.get("kernel", ""))
            self._recorder.report_to(reporter)
            self._reporter = reporter
            self._group.create_task(reporter.run())
        elif before is not None and before.uid != desired.uid and self._reporter is not None:
            self._reporter.again()
        if desired != before:
            self._retry.reset()
        self._arrival.expect(expected=desired.give_back)
        self._transaction.order(desired)
        self._changed.set()

    async def _may_use_checkpoint(self, order: Desired) -> bool:
        """Whether the checkpoint counts, under the order of now if there is one."""
        now = self._transaction.in_force or self._desired or order
        if now.remove or await self._active.use(now.spec) is None or not await self._active.is_blank():
            return False
        if self._desired is None:
            self._set_desired(order)  # else an order has come meanwhile, and is newer
        return not (self._desired or order).remove

    def _inputs(self) -> Inputs:
        node, findings = self._addresses.in_force(self._cluster.node)
        return Inputs(
            desired=self._transaction.in_force_of(self._runner.plan),
            node=node,
            node_findings=findings,
            local=self._addresses.local,
            service_cidrs=self._readiness.service_cidrs(),
            other_runs=self._neighbour.runs,
            left=self._neighbour.left,
            arrival=self._arrival.arrival,
            serves=self._neighbour.serves,
            stands=self._neighbour.stands,
            caches_ready=self._readiness.complete,
            prepared=self._prepared,
            active_mode=self._active.mode,
            alone=self._active.alone,
            chosen_for=self._active.chosen_for,
            unserved=self._active.unserved,
            failed_for=self._active.failed_for,
            running=self._runner.plan,
            over=self._transaction.is_over,
            settled=self._transaction.is_settled,
            unreported=self._transaction.unreported,
            removed=self._leaving.removed,
            retry_waits=self._retry.waits,
        )

    async def _carry_out(self, step: Step) -> None:
        match step:
            case steps.Stand():
                self._neighbour.stand(step, self._transaction.applied)
            case Prepare(spec, alone):
                self._recorder.host(self._host.configure(spec, alone=alone))
                self._prepared = step
            case steps.Probe(spec):
                if self._transaction.is_open:
                    self._active.hold()
                if await self._active.use(spec) is None:
                    self._transaction.impossible("ModeUnsupported", self._active.unsupported)
                    self._retry.later()
            case steps.Run(plan):
                self._prepare_for(plan)
                assert self._active.dataplane is not None, "a plan is made for an active mode"  # noqa: S101
                self._runner.start(plan, self._active.dataplane, self._group)
                self._recorder.waiting()
            case steps.Reconfigure(plan):
                self._prepare_for(plan)
                if self._runner.reconfigure(plan) and (applied := self._transaction.applied(plan.desired)) is not None:
                    self._recorder.applied(applied)
            case steps.Commit():
                self._transaction.committed()
                await self._active.commit()
            case steps.Report(observed):
                self._recorder.applied(observed)
                self._transaction.reported(observed)
                self._note_safe()
            case steps.Discard(left):
                await self._neighbour.discard(left)
            case steps.Remove() | steps.GiveBack():
                self._prepared = None
                await self._leaving.end(step)

    def _prepare_for(self, plan: Plan) -> None:
        self._neighbour.serve()
        self._active.accept(plan.desired.spec)
        self._recorder.set_findings(Source.SETTINGS, *plan.findings)
        self._health_checks.listen(plan.listen_on)
        self._leaving.serve()

    def _synced(self, sync: SyncResult, applied: Desired | None) -> None:
        before_s, self._decoded_s = self._decoded_s, self._informers.decode_s()
        sync = replace(sync, stages_s={"decode": self._decoded_s - before_s, **sync.stages_s})
        if sync.error:
            self._recorder.synced(StatusUpdate(sync))
            return
        applied = self._transaction.applied(applied) if applied is not None else None
        if sync.probed is not None:
            self._active.note(sync.probed)
            self._changed.set()
        # After the first sync as well: conntrack's sysctls may have come with the rules that use it.
        prepared = self._prepared if sync.full else None
        host = self._host.configure(prepared.spec, alone=prepared.alone) if prepared is not None else None
        self._recorder.synced(StatusUpdate(sync, applied, host))
        self._health_checks.synced()
        self._note_safe()
        if sync.reason is SyncReason.START:
            garbage.keep()
            self._changed.set()  # the mode may have the node alone now

    def _note_safe(self) -> None:
        """What the next boot is to do while the API server does not answer."""
        if (safe := self._transaction.safe) is not None and self._runner.plan is not None:
            self._readiness.note(safe)
