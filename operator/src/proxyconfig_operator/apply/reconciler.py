"""One pass over one ProxyConfig: read the caches, decide, write, tell. Deciding is `plan` and `status`; writing is the port's."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

import structlog

from proxyconfig_api.objects import names
from proxyconfig_api.objects.proxyconfig import ProxyConfigStatus
from proxyconfig_api.status.messages import listed
from proxyconfig_client.apiserver.events import Reference
from proxyconfig_operator.apply.expectations import Expectations
from proxyconfig_operator.apply.workqueue import RetryError
from proxyconfig_operator.decide.agent_daemonset import Installation
from proxyconfig_operator.decide.plan import Plan, orphan_plan, plan_of
from proxyconfig_operator.decide.removal import Step
from proxyconfig_operator.decide.snapshot import Snapshot
from proxyconfig_operator.model.objects import Config
from proxyconfig_operator.model.writes import Write
from proxyconfig_operator.status.events import Event, events_of, unproven
from proxyconfig_operator.status.status import status_of, write_of
from proxyconfig_operator.watch.caches import ORPHANS, Caches

BEHIND_S = 1.0
"""How long to wait for caches that do not show our own writes yet; what they then see wakes the queue as well."""
_log = structlog.get_logger("reconcile")


class Writer(Protocol):
    async def write(self, writes: Iterable[Write]) -> Sequence[object]:
        """Carry out; return the refusals, whose str is a sentence. Raises RetryError."""
        ...


class Recorder(Protocol):
    async def post(self, regarding: Reference, reason: str, note: str, *, action: str, kind: Literal["Normal", "Warning"]) -> None: ...


class Reconciler:
    def __init__(self, caches: Caches, writer: Writer, recorder: Recorder, installation: Installation, removal_deadline_s: float) -> None:
        self._caches, self._writer, self._recorder = caches, writer, recorder
        self._installation, self._removal_deadline_s = installation, removal_deadline_s
        self._refused: dict[str, tuple[str, ...]] = {}
        """What the API server refused while nodes were moved: told in the next status."""
        self._unselected: tuple[str, ...] = ()
        self._expectations = Expectations()

    async def reconcile(self, name: str) -> float | None:
        """Bring one ProxyConfig, or the ORPHANS, forward; return in how many seconds to look at it again. Raises RetryError."""
        snapshot = self._caches.snapshot(self._installation, self._removal_deadline_s)
        if name == ORPHANS:
            return await self._reconcile_orphans(snapshot)
        config = snapshot.configs.get(name)
        if config is None:
            self._refused.pop(name, None)
            self._caches.probes_awaited(name, ())
            return None
        if not self._expectations.are_met(name, snapshot):
            return BEHIND_S
        started, plan = time.monotonic(), plan_of(config, snapshot)
        self._caches.probes_awaited(name, plan.awaited)
        status = status_of(config, snapshot, plan, self._refused.get(name, ()))
        refused = _sentences(await self._writer.write(plan.prepare))
        if refused:
            status = status_of(config, snapshot, plan, refused)
        self._expectations.expect(name, status.rollout, () if refused else plan.move)
        await self._publish(config, status, plan)
        if not refused:
            refused = _sentences([*await self._writer.write(plan.move), *await self._writer.write(plan.finish)])
        _report(config, status, plan, started)
        return self._remember(name, refused, plan)

    async def _reconcile_orphans(self, snapshot: Snapshot) -> float | None:
        """There is no ProxyConfig any more that an Event could be about: what is overdue is said of the Node."""
        self._report_unselected(snapshot)
        plan = orphan_plan(snapshot)
        if plan.move:
            _log.info("orphans", nodes=listed([each.node for each in plan.leaving]), writes=len(plan.move))
        for each in (each for each in plan.leaving if each.step is Step.OVERDUE):
            about = Reference("v1", "Node", each.node, uid=snapshot.nodes[each.node].metadata.uid)
            await self._post(about, unproven([each.node], each.reason))
        self._insist(await self._writer.write(plan.move))
        return plan.again_in_s

    async def _publish(self, config: Config, status: ProxyConfigStatus, plan: Plan) -> None:
        if status != config.status:
            self._insist(await self._writer.write((write_of(config, status),)))
        about = Reference(names.API_VERSION, "ProxyConfig", config.name, uid=config.metadata.uid)
        for each in events_of(config.status, status, plan, deleting=config.deleting):
            await self._post(about, each)

    async def _post(self, about: Reference, event: Event) -> None:
        await self._recorder.post(about, event.reason, event.note, action="Reconcile", kind=event.kind)

    def _remember(self, name: str, refused: tuple[str, ...], plan: Plan) -> float | None:
        before = self._refused.pop(name, ())
        if refused:
            self._refused[name] = refused
            self._expectations.forget(name)
            raise RetryError(refused[0])
        return 0.0 if before else plan.again_in_s

    def _report_unselected(self, snapshot: Snapshot) -> None:
        """Nobody's status is about these nodes in particular; each one's counts them."""
        nodes = snapshot.assignment.unselected
        if nodes != self._unselected and snapshot.configs:
            _log.info("nodes that no ProxyConfig selects", count=len(nodes), nodes=listed(nodes))
            self._unselected = nodes

    def _insist(self, refusals: Sequence[object]) -> None:
        for refusal in refusals:
            raise RetryError(str(refusal))


def _sentences(refusals: Sequence[object]) -> tuple[str, ...]:
    return tuple(sorted({str(refusal) for refusal in refusals}))


def _report(config: Config, status: ProxyConfigStatus, plan: Plan, started: float) -> None:
    """One line per decision; nothing for a look at what needs nothing."""
    quiet = not plan.prepare and not plan.move and not plan.finish and status == config.status
    (_log.debug if quiet else _log.info)(
        "reconciled",
        config=config.name,
        generation=config.metadata.generation,
        revision=status.revision,
        ready=status.summary,
        prepared=len(plan.prepare),
        moved=len(plan.move),
        leaving=len(plan.leaving),
        finished=bool(plan.finish),
        took_s=round(time.monotonic() - started, 3),
    )
