"""Carries out what `change` decides: asks the probes, keeps the time, records and reports."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import chain
from typing import NoReturn, Protocol

import structlog
from msgspec import Struct

from proxyconfig_agent.checks.probes.judge import to_ask_again
from proxyconfig_agent.checks.probes.model import Absent, Answer, Target
from proxyconfig_agent.checks.probes.signals import COUNTED, Signals, unlike
from proxyconfig_agent.checks.probes.targets import targets_of, targets_of_pod
from proxyconfig_agent.controller.change import change as changes
from proxyconfig_agent.controller.change.change import Change, Phase
from proxyconfig_agent.controller.change.change_record import ChangeRecord
from proxyconfig_agent.controller.change.pace import asks_the_same, pace_of
from proxyconfig_agent.controller.change.rounds import Rounds
from proxyconfig_agent.ingest.model import Service, ServiceName
from proxyconfig_agent.report.recorder import StatusRecorder
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.watch.desired import Desired
from proxyconfig_api.objects.nodeproxy import ProbePod
from proxyconfig_api.status.rollout import ProbeResult
from proxyconfig_client.process.clock import Clock

SHORT_S = 0.5
"""A step that ends within this is not reported: a change that passes at once costs the API server one write."""

_log = structlog.get_logger("change")


class Ask(Protocol):
    """`probes.prober.probe`: never raises."""

    def __call__(self, targets: tuple[Target | Absent, ...], timeout_s: float, /) -> Awaitable[tuple[Answer, ...]]: ...


class AskPod(Protocol):
    """`probes.pod.client.ask`: never raises."""

    def __call__(
        self, pod: ProbePod, targets: tuple[Target | Absent, ...], timeout_s: float, /, *, before: bool
    ) -> Awaitable[tuple[Answer, ...]]: ...


class Observation(Struct, frozen=True):
    """How a change is watched, and where it is recorded."""

    record: ChangeRecord
    ask: Ask
    ask_pod: AskPod
    signals: Signals
    clock: Clock


class Transaction:
    """`moved` is called when what is in force, or what is to be reported, may have changed. `known` is set when the cluster is.
    `has_rules`: whether an earlier agent left anything in the kernel."""

    def __init__(
        self,
        cluster: ClusterState,
        recorder: StatusRecorder,
        observation: Observation,
        moved: Callable[[], None],
        *,
        has_rules: Callable[[], Awaitable[bool]],
        known: asyncio.Event,
    ) -> None:
        self._cluster, self._recorder, self._tell, self._has_rules, self._known = cluster, recorder, moved, has_rules, known
        self._record, self._ask, self._ask_pod = observation.record, observation.ask, observation.ask_pod
        self._signals, self._clock = observation.signals, observation.clock
        self._baseline = self._signals.baseline()
        self.change: Change | None = None
        self._newest: Desired | None = None
        self._applied: Desired | None = None
        self._observed: Desired | None = None
        self._later: asyncio.TimerHandle | None = None
        self._moved = asyncio.Event()
        self.is_over = False
        """A change has ended, and what was kept for the way back is still there; also if there is another order already."""

    @property
    def in_force(self) -> Desired | None:
        """What the node is to do now; None: nothing is known yet."""
        return self.change.in_force if self.change is not None else None

    @property
    def safe(self) -> Desired | None:
        return self.change.safe if self.change is not None else None

    @property
    def is_open(self) -> bool:
        return self.change is not None and self.change.is_open

    def in_force_of(self, running: object | None) -> Desired | None:
        """The same; but before the probes are through, an agent that runs nothing yet leaves the kernel as it is."""
        asks = self.change is not None and self.change.phase is Phase.ASKING
        return None if asks and running is None else self.in_force

    @property
    def is_settled(self) -> bool:
        """What is in force is in the kernel, and nothing is held."""
        return self.change is not None and self.change.is_settled and self._applied == self.in_force

    @property
    def unreported(self) -> Desired | None:
        """What is in force and in the kernel, and to be reported as what the node runs."""
        observed = self.change.observed if self.change is not None else None
        return observed if observed != self._observed and self._applied == self.in_force else None

    def order(self, desired: Desired) -> None:
        self._newest = desired
        if self.change is None:
            self._moved.set()
            return
        self._set(changes.ordered(self.change, desired))
        if self._applied is not None and self._applied == self.change.in_force:  # there is nothing to do for it
            self._set(changes.applied(self.change, self._applied))

    def applied(self, desired: Desired) -> Desired | None:
        """It is in the kernel; returns it if that is all there is to report, so that both are one write of the status."""
        if self.change is None:
            return None
        self._applied = desired
        self._set(changes.applied(self.change, desired))
        if self.change.old is not None or desired.give_back or self.unreported != desired:
            self._tell()
            return None
        self.reported(desired)
        return desired

    def impossible(self, reason: str, message: str) -> None:
        if self.change is not None:
            self._set(changes.impossible(self.change, reason, message))

    def committed(self) -> None:
        """What was kept for the way back has been given up."""
        self.is_over = False

    def reported(self, desired: Desired) -> None:
        """The status says that the node runs this."""
        self._observed = desired

    def beat(self) -> None:
        """To be called every second: what is counted in the minutes before a change."""
        self._signals.sample_if_due()

    async def run(self) -> NoReturn:
        """Follow the orders, and ask the probes, until cancelled."""
        await self._begin()
        await self._known.wait()
        while True:
            self._moved.clear()
            if self.change is None or pace_of(self.change) is None:
                await self._moved.wait()
            else:
                await self._probed(self.change)

    async def _probed(self, asked: Change) -> None:
        """Begin rounds, and take their answers, for as long as these tell of the change."""
        rounds = Rounds(partial(self._answers, asked))
        try:
            while (change := self.change) is not None and asks_the_same(change, asked) and (pace := pace_of(change)) is not None:
                self._moved.clear()
                answers = await rounds.answers(pace, self._moved)
                if answers is not None and change is self.change:
                    self._set(changes.answered(change, answers, self._clock.monotonic()))
        finally:
            rounds.end()

    async def _begin(self) -> None:
        """Wait for the first order, and go on with the change of an earlier agent, if its rules are still there."""
        while self._newest is None:
            await self._moved.wait()
            self._moved.clear()
        recorded = self._record.load()
        if recorded is not None and await self._is_gone_on_with(changes.resumed(recorded, self._newest)):
            _log.info("change resumed", phase=recorded.phase.value, revision=recorded.new.revision)
            self._set(changes.resumed(recorded, self._newest))
        else:
            self._set(changes.ordered(None, self._newest))

    async def _is_gone_on_with(self, change: Change) -> bool:
        return change.new.give_back or (change.old is not None and await self._has_rules())

    async def _answers(self, change: Change) -> tuple[Answer, ...]:
        """Of one round."""
        probes, services = change.new.change.probes, self._cluster.view().services
        targets = to_ask_again(targets_of(probes, services, self._cluster.node), change.before)
        asked = self._ask(targets, float(probes.timeout_seconds))
        return tuple(chain(*await asyncio.gather(asked, self._from_pod(change, services)), self._counted(change)))

    async def _from_pod(self, change: Change, services: Mapping[ServiceName, Service]) -> tuple[Answer, ...]:
        pod, probes = change.new.change.pod, change.new.change.probes
        if pod is None:
            return ()
        targets = to_ask_again(targets_of_pod(probes, services, self._cluster.node), change.before)
        return await self._ask_pod(pod, targets, float(probes.timeout_seconds), before=change.phase is Phase.ASKING)

    def _counted(self, change: Change) -> tuple[Answer, ...]:
        if change.phase is Phase.ASKING:
            return tuple(Answer(name, ProbeResult.PASSED) for name in COUNTED)
        old = change.old if change.old is not None else change.new
        return self._signals.answers(self._baseline, unlike(old.spec.mode, change.new.spec.mode))

    def _set(self, change: Change) -> None:
        before, self.change = self.change, change
        if change == before and change.new.change == before.new.change:
            return
        if before is None or change.phase is not before.phase:
            _log.info("change", phase=change.phase.value, revision=change.new.revision, reason=change.reason, message=change.message)
        if change.phase is Phase.APPLYING:
            self._baseline = self._signals.baseline()
        self.is_over |= change.is_settled
        if change.new.remove:
            self._record.delete()
        else:
            self._record.save(change)
        self._report(change)
        self._moved.set()
        self._tell()

    def _report(self, change: Change) -> None:
        """At once what lasts; a step of the way when it takes longer than SHORT_S."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        lasts = change.is_settled or (change.reason and change.phase is not Phase.RETURNING)
        if lasts or change.old is None:
            self._recorder.change(changes.status_of(change), changes.finding_of(change))
        else:
            self._later = asyncio.get_running_loop().call_later(SHORT_S, self._recorder.change, changes.status_of(change), None)
