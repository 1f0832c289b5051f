"""The mode that a node runs: its data plane, chosen, probed, exchanged, removed. Where another one is impossible, what runs goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import structlog

from proxyconfig_agent.dataplane.modes import left_behind
from proxyconfig_agent.dataplane.port import Dataplane, DataplaneError
from proxyconfig_agent.dataplane.takeover import removed
from proxyconfig_agent.dataplane.worker import in_thread
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.node import capabilities
from proxyconfig_agent.report.recorder import StatusRecorder
from proxyconfig_agent.state.findings import Finding, Source, Topic
from proxyconfig_api.modes import effective
from proxyconfig_api.spec import Mode

AGAIN_S = 15.0

_log = structlog.get_logger("mode")

Modes = Callable[[Mode], Dataplane]
"""The data plane of a mode. Raises DataplaneError where this node cannot have it."""


class ActiveMode:
    """`stop` ends what uses the data plane, before another takes its place; `again` is called when it is time to try again."""

    def __init__(self, modes: Modes, telling: StatusRecorder, *, stop: Callable[[], Awaitable[None]], again: Callable[[], None]) -> None:
        self._modes, self._telling, self._stop, self._again = modes, telling, stop, again
        self._mode: Mode | None = None
        self._dataplane: Dataplane | None = None
        self._impossible = ""
        self.unserved: Mapping[Family, str] = {}
        """The families that the mode in use cannot serve on this node, each with what is lacking."""
        self._one = asyncio.Lock()

    async def use(self, mode: Mode) -> Dataplane | None:
        """The data plane of the mode from now on; None, with a finding, if this node cannot do it."""
        async with self._one:
            return await self._use(effective(mode))

    async def _use(self, mode: Mode) -> Dataplane | None:
        if mode is not self._mode:
            dataplane = await self._probed(mode)
            if dataplane is None:
                return None
            await self._exchange(mode, dataplane)
        self._impossible = ""
        self._telling.set_findings(Source.MODE)
        return self._dataplane

    async def remove(self) -> list[str] | None:
        """Take away what any mode of ours has made. What a scan still finds; None, with a finding, if it failed: try again."""
        async with self._one:
            return await self._remove()

    async def _remove(self) -> list[str] | None:
        try:
            if self._dataplane is None:
                return await in_thread(partial(removed, left_behind()))
            await in_thread(self._dataplane.remove)
            return await in_thread(self._dataplane.scan)
        except (DataplaneError, OSError) as error:
            _log.error("removal failed", error=str(error))
            self._telling.set_findings(Source.MODE, Finding(Topic.TRAFFIC, "RemovalFailed", str(error)))
            self._try_again()
            return None

    def close(self) -> None:
        """The kernel's state stays."""
        if self._dataplane is not None:
            self._dataplane.close()

    async def _probed(self, mode: Mode) -> Dataplane | None:
        """One that this node can do, told so."""
        dataplane = None
        try:
            dataplane = self._modes(mode)
            probed = await in_thread(dataplane.probe)
        except (DataplaneError, OSError) as error:
            if dataplane is not None:
                dataplane.close()
            self._cannot(str(error))
            self._try_again()
            return None
        self._telling.update(mode=mode.value, capabilities=capabilities.of(probed.features))
        self.unserved = probed.unserved
        return dataplane

    async def _exchange(self, mode: Mode, dataplane: Dataplane) -> None:
        self._telling.set_unhealthy(Source.MODE, "")
        if self._dataplane is not None:
            await self._stop()
            self._dataplane.close()
        self._dataplane, self._mode = dataplane, mode

    def _cannot(self, sentence: str) -> None:
        """This node cannot do the mode that is wanted; what already runs goes on."""
        if sentence != self._impossible:
            _log.error("mode not possible", error=sentence)
        self._impossible = sentence
        self._telling.set_findings(Source.MODE, Finding(Topic.TRAFFIC, "ModeUnsupported", sentence))
        if self._dataplane is None:
            self._telling.set_unhealthy(Source.MODE, sentence)

    def _try_again(self) -> None:
        asyncio.get_running_loop().call_later(AGAIN_S, self._again)
