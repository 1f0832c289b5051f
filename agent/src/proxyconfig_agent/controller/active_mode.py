"""Probes, selects and swaps the active data plane. If no mode that the spec allows works, the current one keeps running."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

import structlog

from proxyconfig_agent.dataplane.mode_choice import Answer, Chosen, Impossible, Verdict, as_configured, choose
from proxyconfig_agent.dataplane.modes import left_behind
from proxyconfig_agent.dataplane.port import Dataplane, DataplaneError, Installed, ProbeResult, TemporaryError
from proxyconfig_agent.dataplane.takeover import removed
from proxyconfig_agent.dataplane.worker import in_thread
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.node import capabilities
from proxyconfig_agent.report.recorder import StatusRecorder
from proxyconfig_agent.state.findings import Finding, Source, Topic
from proxyconfig_api.nodeproxy import ModeStatus
from proxyconfig_api.spec import Mode, ProxyConfigSpec

_log = structlog.get_logger("mode")

Modes = Callable[[Mode], Installed]
"""Installs a mode. Raises DataplaneError where this node cannot have it."""


@dataclass(frozen=True, slots=True)
class _Probed:
    """A mode that works here."""

    installed: Installed
    found: ProbeResult


class ActiveMode:
    """`stop` ends what uses the data plane, before another one takes its place."""

    def __init__(self, modes: Modes, recorder: StatusRecorder, *, stop: Callable[[], Awaitable[None]]) -> None:
        self._modes, self._recorder, self._stop = modes, recorder, stop
        self._kernel = os.uname().release
        self.mode: Mode | None = None
        self.chosen_for: ProxyConfigSpec | None = None
        """The spec with mode `auto` for which the active mode was chosen."""
        self._choice: Chosen | None = None
        self._before: Mode | None = None
        self._installed: Installed | None = None
        self.unserved: Mapping[Family, str] = {}
        """The families that the active mode cannot serve on this node, each with what is lacking."""
        self._unsupported = ""
        self._one = asyncio.Lock()

    @property
    def failed(self) -> bool:
        """A mode was asked for that this node cannot do, and that was reported."""
        return bool(self._unsupported)

    @property
    def dataplane(self) -> Dataplane | None:
        return self._installed.dataplane if self._installed is not None else None

    @property
    def alone(self) -> bool:
        """Whether no other mode has anything on this node, as far as is known."""
        return self._installed is not None and self._installed.is_alone()

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

    def _serves(self, spec: ProxyConfigSpec) -> bool:
        return self.chosen_for == spec if spec.mode is Mode.AUTO else self.mode is spec.mode

    def accept(self, spec: ProxyConfigSpec) -> None:
        """The active mode is the one of the spec: report it, and take a finding about another one back."""
        assert self.mode is not None, "what is accepted is active"  # noqa: S101
        if spec.mode is not Mode.AUTO or self._choice is None:
            self.chosen_for, self._choice = None, as_configured(self.mode)
        self._unsupported = ""
        self._report(spec.mode, self._choice.reason, self._choice.message)
        self._recorder.set_findings(Source.MODE)
        self._recorder.set_unhealthy(Source.MODE, "")

    async def remove(self) -> list[str] | None:
        """Take away what any mode of ours has made. What a scan still finds; None, with a finding, if it failed."""
        async with self._one:
            return await self._remove()

    async def _remove(self) -> list[str] | None:
        try:
            if self._installed is None:
                return await in_thread(partial(removed, left_behind()))
            await in_thread(self._installed.lifecycle.remove)
            return await self.scan()
        except (DataplaneError, OSError) as error:
            _log.error("removal failed", error=str(error))
            self._recorder.set_findings(Source.MODE, Finding(Topic.TRAFFIC, "RemovalFailed", str(error)))
            return None

    async def scan(self) -> list[str]:
        """What of any mode of ours is in the kernel. Raises DataplaneError or OSError."""
        return await in_thread(self._installed.lifecycle.scan) if self._installed is not None else []

    def close(self) -> None:
        """The kernel's state stays."""
        if self._installed is not None:
            self._installed.lifecycle.close()

    async def _chosen(self, spec: ProxyConfigSpec) -> Dataplane | None:
        """Probe one mode after the other until it is clear which one runs; the active one needs no probe."""
        answers, probed = dict[Mode, Answer](), None
        while isinstance(step := choose(spec.mode, answers, self.mode or self._before, self._kernel), Mode):
            if step is self.mode:
                answers[step], probed = Answer(Verdict.WORKS), None
            else:
                answers[step], probed = await self._probe(step)
        if isinstance(step, Impossible):
            self._report_unsupported(spec.mode, step.message)
            return None
        if probed is not None:
            await self._swap(step.mode, probed)
        self._choice, self.chosen_for = step, spec if spec.mode is Mode.AUTO else None
        self.accept(spec)
        return self.dataplane

    async def _probe(self, mode: Mode) -> tuple[Answer, _Probed | None]:
        installed = None
        try:
            installed = await in_thread(partial(self._modes, mode))
            found = await in_thread(installed.lifecycle.probe)
        except (DataplaneError, OSError) as error:
            if installed is not None:
                installed.lifecycle.close()
            verdict = Verdict.UNCLEAR if isinstance(error, TemporaryError | OSError) else Verdict.LACKS
            return Answer(verdict, str(error)), None
        return Answer(Verdict.WORKS), _Probed(installed, found)

    async def _swap(self, mode: Mode, probed: _Probed) -> None:
        await self._stop()
        self.close()
        self._installed, self.mode, self.unserved = probed.installed, mode, probed.found.unserved
        self._recorder.update(capabilities=capabilities.of(probed.found.features))

    def _report_unsupported(self, desired: Mode, sentence: str) -> None:
        if sentence != self._unsupported:
            _log.error("mode not supported", error=sentence)
        self._unsupported = sentence
        self._report(desired, "ModeUnsupported", sentence)
        self._recorder.set_findings(Source.MODE, Finding(Topic.TRAFFIC, "ModeUnsupported", sentence))
        if self.dataplane is None:
            self._recorder.set_unhealthy(Source.MODE, sentence)

    def _report(self, desired: Mode, reason: str, message: str) -> None:
        self._recorder.mode(ModeStatus(desired=desired, effective=self.mode or "", reason=reason, message=message))
