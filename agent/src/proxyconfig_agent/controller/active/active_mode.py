"""Probes, selects and swaps the active data plane. If no mode that the spec allows works, the current one keeps running."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import structlog
from msgspec.structs import replace

from proxyconfig_agent.controller.active.probed_mode import ProbedMode
from proxyconfig_agent.dataplane.modes.mode_choice import Answer, Chosen, Impossible, Verdict, as_configured, choose
from proxyconfig_agent.dataplane.modes.modes import left_behind
from proxyconfig_agent.dataplane.modes.takeover import any_here, emptied, removed
from proxyconfig_agent.dataplane.port import Dataplane, DataplaneError, Installed, LackingError, ProbeResult, TemporaryError
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.node import capabilities
from proxyconfig_agent.report.recorder import StatusRecorder
from proxyconfig_agent.state.findings import Finding, Source, Topic
from proxyconfig_agent.sync.worker import in_thread
from proxyconfig_api.objects.nodeproxy import ModeStatus
from proxyconfig_api.spec.sections import Mode, ProxyConfigSpec

_log = structlog.get_logger("mode")

Modes = Callable[[Mode], Installed]
"""Installs a mode. Raises DataplaneError where this node cannot have it."""


class ActiveMode:
    """`stop` ends what uses the data plane, before another one takes its place."""

    def __init__(self, modes: Modes, recorder: StatusRecorder, *, stop: Callable[[], Awaitable[None]]) -> None:
        self._modes, self._recorder, self._stop = modes, recorder, stop
        self._kernel = os.uname().release
        self._active: ProbedMode | None = None
        self._standby: ProbedMode | None = None
        """The mode before, complete and disarmed, while a change is held."""
        self.chosen_for: ProxyConfigSpec | None = None
        """The spec with mode `auto` for which the active mode was chosen."""
        self._choice: Chosen | None = None
        self._before: Mode | None = None
        self.failed_for: ProxyConfigSpec | None = None
        """The spec that was asked for last, if this node cannot do its mode, and that was reported."""
        self.unsupported = ""
        """Why it cannot; empty if the mode that was asked for last is active."""
        self._holding, self._one = False, asyncio.Lock()

    @property
    def mode(self) -> Mode | None:
        return self._active.mode if self._active is not None else None

    @property
    def unserved(self) -> Mapping[Family, str]:
        """The families that the active mode cannot serve on this node, each with what is lacking."""
        return self._active.found.unserved if self._active is not None else {}

    @property
    def dataplane(self) -> Dataplane | None:
        return self._active.installed.dataplane if self._active is not None else None

    @property
    def alone(self) -> bool:
        """Whether no other mode has anything on this node, as far as is known."""
        return self._active is not None and self._active.installed.succession.is_alone()

    def restarted(self, mode: str, kernel: str) -> None:
        """An earlier agent ran this mode here, on that kernel: `auto` leaves it only for a reason."""
        if kernel == self._kernel and mode in set(Mode):
            self._before = Mode(mode)

    async def use(self, spec: ProxyConfigSpec) -> Dataplane | None:
        """Make the mode of the spec the active one, and return its data plane; None, with a finding, if this node cannot do it."""
        async with self._one:
            if not self._serves(spec):
                return await self._chosen(spec)
            self.accept(spec)
            return self.dataplane

    def note(self, found: ProbeResult) -> None:
        """What the active mode finds in the kernel now."""
        assert self._active is not None, "what is synced is active"  # noqa: S101
        self._active = replace(self._active, found=found)
        self._recorder.update(capabilities=capabilities.of(found.features))

    def hold(self) -> None:
        """From the next change of mode on, the mode before stays complete and disarmed: `use` goes back to it at once, until `commit`."""
        self._holding = True

    async def commit(self) -> None:
        """The active mode stays, and all others retire, if anything is held."""
        async with self._one:
            if not self._holding:
                return
            self._holding = False
            self._drop_standby()
            if self._active is not None:
                await in_thread(self._active.installed.succession.commit)

    def _serves(self, spec: ProxyConfigSpec) -> bool:
        return self.chosen_for == spec if spec.mode is Mode.AUTO else self.mode is spec.mode

    def accept(self, spec: ProxyConfigSpec) -> None:
        """The active mode is the one of the spec: report it, and take a finding about another one back."""
        assert self.mode is not None, "what is accepted is active"  # noqa: S101
        if spec.mode is not Mode.AUTO or self._choice is None:
            self.chosen_for, self._choice = None, as_configured(self.mode)
        self.failed_for, self.unsupported = None, ""
        self._report(spec.mode, self._choice.reason, self._choice.message)
        self._recorder.set_findings(Source.MODE)
        self._recorder.set_unhealthy(Source.MODE, "")

    async def remove(self) -> list[str] | None:
        """Take away what any mode of ours has made. What a scan still finds; None, with a finding, if it failed."""
        async with self._one:
            self._drop_standby()
            if self._active is None:
                return await self._tried(partial(removed, left_behind()))
            return await self._tried(partial(emptied, self._active.installed.lifecycle))

    async def leave(self, work: Callable[[], list[str] | None]) -> list[str] | None:
        """Have no active mode any more, and do this with what modes of ours have made; None, with a finding, if it failed."""
        async with self._one:
            self.close()
            self._active = None
            return await self._tried(work)

    async def _tried(self, work: Callable[[], list[str] | None]) -> list[str] | None:
        try:
            return await in_thread(work)
        except (DataplaneError, OSError) as error:
            _log.error("removal failed", error=str(error))
            self._recorder.set_findings(Source.MODE, Finding(Topic.TRAFFIC, "RemovalFailed", str(error)))
            return None

    async def has_rules(self) -> bool:
        """Whether an earlier agent left anything in the kernel; no, if that cannot be read."""
        try:
            return await in_thread(partial(any_here, left_behind()))
        except (DataplaneError, OSError) as error:
            _log.error("rules of an earlier agent cannot be read", error=str(error))
            return False

    async def is_blank(self) -> bool:
        """Whether nothing of any mode of ours is in the kernel: rules that are there are newer than a checkpoint."""
        try:
            newer = await self.scan()
        except (DataplaneError, OSError) as error:
            _log.error("checkpoint not used: the kernel's rules cannot be read", error=str(error))
            return False
        if newer:
            _log.info("rules are newer than the checkpoint", advice="they stay until the API server answers")
        return not newer

    async def scan(self) -> list[str]:
        """What of any mode of ours is in the kernel. Raises DataplaneError or OSError."""
        return await in_thread(self._active.installed.lifecycle.scan) if self._active is not None else []

    def close(self) -> None:
        """The kernel's state stays."""
        self._drop_standby()
        if self._active is not None:
            self._active.close()

    async def _chosen(self, spec: ProxyConfigSpec) -> Dataplane | None:
        """Probe one mode after the other until it is clear which one runs; the active one needs no probe."""
        answers, probed = dict[Mode, Answer](), None
        while isinstance(step := choose(spec.mode, answers, self.mode or self._before, self._kernel), Mode):
            if step is self.mode:
                answers[step], probed = Answer(Verdict.WORKS), None
            elif self._standby is not None and step is self._standby.mode:
                answers[step], probed = Answer(Verdict.WORKS), self._standby
            else:
                answers[step], probed = await self._probe(step)
        if isinstance(step, Impossible):
            self._report_unsupported(spec, step.message)
            return None
        if probed is not None:
            await self._swap(probed)
        self._choice, self.chosen_for = step, spec if spec.mode is Mode.AUTO else None
        self.accept(spec)
        return self.dataplane

    async def _probe(self, mode: Mode) -> tuple[Answer, ProbedMode | None]:
        installed = None
        try:
            installed = await in_thread(partial(self._modes, mode))
            found = await in_thread(installed.lifecycle.probe)
        except (DataplaneError, OSError) as error:
            if installed is not None:
                installed.lifecycle.close()
            verdict = Verdict.UNCLEAR if isinstance(error, TemporaryError | OSError) else Verdict.LACKS
            return Answer(verdict, str(error), error.lack if isinstance(error, LackingError) else ""), None
        return Answer(Verdict.WORKS), ProbedMode(mode, installed, found)

    async def _swap(self, to: ProbedMode) -> None:
        await self._stop()
        before, self._active = self._active, to
        if to is self._standby:
            self._standby = None
            await self._go_back(to, before)
        elif self._holding:
            self._keep(before)
            to.installed.succession.hold(self._standby.installed.succession if self._standby is not None else None)
        else:
            self._drop_standby()
            if before is not None:
                before.close()
        self.note(to.found)

    async def _go_back(self, to: ProbedMode, failed: ProbedMode | None) -> None:
        """First the rules from before are armed, then the failed ones disarmed: no packet meets neither. A full sync follows."""
        to.installed.succession.again()
        try:
            await in_thread(to.installed.lifecycle.arm)
            if failed is not None:
                await in_thread(failed.installed.lifecycle.disarm)
        except (DataplaneError, OSError) as error:
            _log.error("not armed at once", error=str(error), advice="the full sync that follows arms it")
        if failed is not None:
            failed.close()

    def _keep(self, before: ProbedMode | None) -> None:
        """A second change before the first one is committed goes back to where that one began."""
        if self._standby is None:
            self._standby = before
        elif before is not None:
            before.close()

    def _drop_standby(self) -> None:
        if self._standby is not None:
            self._standby.close()
        self._standby = None

    def _report_unsupported(self, spec: ProxyConfigSpec, sentence: str) -> None:
        if sentence != self.unsupported:
            _log.error("mode not supported", error=sentence)
        self.failed_for, self.unsupported = spec, sentence
        self._report(spec.mode, "ModeUnsupported", sentence)
        self._recorder.set_findings(Source.MODE, Finding(Topic.TRAFFIC, "ModeUnsupported", sentence))
        if self.dataplane is None:
            self._recorder.set_unhealthy(Source.MODE, sentence)

    def _report(self, desired: Mode, reason: str, message: str) -> None:
        self._recorder.mode(ModeStatus(desired=desired, effective=self.mode or "", reason=reason, message=message))
