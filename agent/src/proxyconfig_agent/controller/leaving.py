"""The end of an agent's rules on a node: removed at once, or given back to a kube-proxy that serves. What has failed is tried again."""

from __future__ import annotations

from functools import partial
from typing import Protocol

import structlog
from msgspec import Struct

from proxyconfig_agent.controller.active.active_mode import ActiveMode
from proxyconfig_agent.controller.active.active_runner import ActiveRunner
from proxyconfig_agent.controller.inputs.neighbour import Neighbour
from proxyconfig_agent.controller.inputs.readiness import CacheReadiness
from proxyconfig_agent.controller.retry import RetryTimer
from proxyconfig_agent.controller.step import GiveBack, Remove
from proxyconfig_agent.dataplane.modes.departure import Departure
from proxyconfig_agent.dataplane.port import DataplaneError
from proxyconfig_agent.node.host import Host
from proxyconfig_agent.node.other_proxies.arrival import Stage
from proxyconfig_agent.report.healthcheck.sync import HealthChecks
from proxyconfig_agent.report.recorder import StatusRecorder
from proxyconfig_agent.state.findings import Finding
from proxyconfig_agent.state.programmed import Programmed
from proxyconfig_agent.watch.desired import Desired
from proxyconfig_api.spec.sections import Mode

_log = structlog.get_logger("agent")


class Depart(Protocol):
    """`dataplane.modes.modes.departure`."""

    def __call__(self, *, chains_stay: bool) -> Departure: ...


class Parts(Struct, frozen=True):
    """What a node is served by, and what knows of it."""

    runner: ActiveRunner
    active: ActiveMode
    neighbour: Neighbour
    readiness: CacheReadiness
    programmed: Programmed
    health_checks: HealthChecks
    recorder: StatusRecorder
    host: Host
    retry: RetryTimer


class Leaving:
    def __init__(self, parts: Parts, depart: Depart) -> None:
        self._parts, self._depart = parts, depart
        self._departure: Departure | None = None
        self.removed: Desired | None = None
        """What was carried out last, and proven; None: the node is served."""

    def serve(self) -> None:
        """The node is served from now on; what is in the kernel stays."""
        self.removed = None
        if self._departure is not None:
            self._departure.close()
        self._departure = None

    async def end(self, step: Remove | GiveBack) -> None:
        """Carry it out, or as much of it as is possible now."""
        await (self._remove(step.desired) if isinstance(step, Remove) else self._give_back(step))

    async def _remove(self, desired: Desired) -> None:
        self.serve()
        await self._parts.runner.stop()
        if (left := await self._parts.active.remove()) is not None:
            self._report(desired, left, self._parts.host.restore())
        if left != []:
            self._parts.retry.later()

    async def _give_back(self, step: GiveBack) -> None:
        """Let all modes retire, but for chains that a kube-proxy may have made, or takes over: in nftables mode alone it has none. What
        sysctls were before is not restored: kube-proxy has set its own, or needs those of the chains."""
        parts, stay = self._parts, step.arrival.mode != Mode.NFTABLES
        await parts.runner.stop()
        parts.recorder.stopped()
        parts.health_checks.listen(())
        # Where no kube-proxy serves yet, there is nothing that connections could drain to.
        drain_s = float(step.desired.spec.drain_period) if step.arrival.stage is Stage.SERVING else 0.0
        left = await parts.active.leave(partial(self._retired, drain_s, chains_stay=stay))
        if left is not None:
            self._report(step.desired, left, (), chains_stay=stay and step.arrival.chains)
        if left != []:
            parts.retry.later()

    def _retired(self, drain_s: float, *, chains_stay: bool) -> list[str] | None:
        """What a scan finds of modes that have retired; None while one has not. Raises DataplaneError or OSError."""
        departure, self._departure = self._departure or self._depart(chains_stay=chains_stay), None
        try:
            over = departure.step(drain_s)
        except (DataplaneError, OSError):
            departure.close()
            raise
        self._departure = None if over else departure
        return departure.left if over else None

    def _report(self, desired: Desired, left: list[str], host: tuple[Finding, ...], *, chains_stay: bool = False) -> None:
        self.removed = None if left else desired
        self._parts.neighbour.removed()
        self._parts.programmed.clear()
        self._parts.readiness.discard()
        self._parts.health_checks.synced()
        self._parts.recorder.removed(desired, left=len(left), host=host, chains_stay=chains_stay)
        _log.info("removed", left=left)
