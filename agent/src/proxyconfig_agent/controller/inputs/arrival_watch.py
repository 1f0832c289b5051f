"""Looks for the kube-proxy that a node is given back to, for as long as it is awaited; and leaves it the port of its metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn

import structlog

from proxyconfig_agent.controller.inputs.other_proxy import OtherProxy
from proxyconfig_agent.ingest.model import Family, family_of
from proxyconfig_agent.node.other_proxies.arrival import Arrival, Running, Stage, arrival_of, awaited_finding
from proxyconfig_agent.report.recorder import StatusRecorder
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.findings import Source

AWAY_S = 0.05
"""Between two looks. kube-proxy listens before its caches are filled, for which it looks every 0.1 s; and it opens health check node ports
with its syncs alone: before the first one the agent has to close its own."""
STARTING_S = 0.25

_log = structlog.get_logger("neighbour")


class ArrivalWatch:
    """`changed` is called when the next step may be another one."""

    def __init__(self, other: OtherProxy, cluster: ClusterState, recorder: StatusRecorder, *, changed: Callable[[], None]) -> None:
        self._other, self._cluster, self._recorder, self._changed = other, cluster, recorder, changed
        self._expected, self._looking = False, asyncio.Event()
        self.arrival: Arrival | None = None
        """None: nobody is awaited, or it was not looked yet."""

    def expect(self, *, expected: bool) -> None:
        """Whether the node is given back from now on."""
        if expected == self._expected:
            return
        self._expected, self.arrival = expected, None
        self._other.leave_port(expected)
        (self._looking.set if expected else self._looking.clear)()
        self._report()

    async def run(self) -> NoReturn:
        """Look until cancelled. One that serves is looked for no more: if it ends then, its rules stay, and it comes back to them."""
        while True:
            await self._looking.wait()
            running, chains = await asyncio.to_thread(lambda: (self._other.running(), self._other.has_chains()))
            if self._expected:
                self._take(running, chains=chains)
            await asyncio.sleep(STARTING_S if running.mode else AWAY_S)

    def _take(self, running: Running, *, chains: bool) -> None:
        before, self.arrival = self.arrival, arrival_of(running, self._families() if running.mode else (), chains=chains)
        if self.arrival.stage is Stage.SERVING:
            self._looking.clear()
        if self.arrival != before:
            _log.info("given back", kube_proxy=self.arrival.stage.value, mode=running.mode, chains=chains)
            self._report()
            self._changed()

    def _families(self) -> set[Family]:
        return {family_of(address) for service in self._cluster.view().services.values() for address in service.cluster_ips}

    def _report(self) -> None:
        self._recorder.set_findings(Source.GIVING_BACK, *([awaited_finding(self.arrival)] if self._expected else []))
