"""Selects, probes and swaps the active data plane. If the requested mode is unsupported, the current one keeps running."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import structlog

from proxyconfig_agent.dataplane.modes import left_behind
from proxyconfig_agent.dataplane.port import Dataplane, DataplaneError, Installed
from proxyconfig_agent.dataplane.takeover import removed
from proxyconfig_agent.dataplane.worker import in_thread
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.node import capabilities
from proxyconfig_agent.report.recorder import StatusRecorder
from proxyconfig_agent.state.findings import Finding, Source, Topic
from proxyconfig_api.spec import Mode

_log = structlog.get_logger("mode")

Modes = Callable[[Mode], Installed]
"""Installs a mode. Raises DataplaneError where this node cannot have it."""


class ActiveMode:
    """`stop` ends what uses the data plane, before another one takes its place."""

    def __init__(self, modes: Modes, recorder: StatusRecorder, *, stop: Callable[[], Awaitable[None]]) -> None:
        self._modes, self._recorder, self._stop = modes, recorder, stop
        self.mode: Mode | None = None
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

    async def use(self, mode: Mode) -> Dataplane | None:
        """Make the mode the active one, and return its data plane; None, with a finding, if this node cannot do it."""
        async with self._one:
            if mode is not self.mode:
                return await self._probed(mode)
            self.accept()
            return self.dataplane

    def accept(self) -> None:
        """The active mode is the one asked for: take a finding about another one back."""
        self._unsupported = ""
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

    async def _probed(self, mode: Mode) -> Dataplane | None:
        installed = None
        try:
            installed = await in_thread(partial(self._modes, mode))
            probed = await in_thread(installed.lifecycle.probe)
        except (DataplaneError, OSError) as error:
            if installed is not None:
                installed.lifecycle.close()
            self._report_unsupported(str(error))
            return None
        self._recorder.update(mode=mode.value, capabilities=capabilities.of(probed.features))
        await self._swap(mode, installed, probed.unserved)
        return installed.dataplane

    async def _swap(self, mode: Mode, installed: Installed, unserved: Mapping[Family, str]) -> None:
        await self._stop()
        self.close()
        self._installed, self.mode, self.unserved = installed, mode, unserved
        self.accept()

    def _report_unsupported(self, sentence: str) -> None:
        if sentence != self._unsupported:
            _log.error("mode not supported", error=sentence)
        self._unsupported = sentence
        self._recorder.set_findings(Source.MODE, Finding(Topic.TRAFFIC, "ModeUnsupported", sentence))
        if self.dataplane is None:
            self._recorder.set_unhealthy(Source.MODE, sentence)
