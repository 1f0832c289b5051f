"""The runner on the active data plane: started, reconfigured and stopped as the controller's steps say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn

from proxyconfig_agent.controller.step import Plan
from proxyconfig_agent.dataplane.port import Dataplane
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.programmed import Programmed
from proxyconfig_agent.sync.result import SyncResult
from proxyconfig_agent.sync.runner import Runner
from proxyconfig_agent.watch.desired import Desired
from proxyconfig_client.process.backoff import Backoff
from proxyconfig_client.process.clock import Clock

OnSynced = Callable[[SyncResult, Desired | None], None]
"""Gets each sync, and what is in effect from it on, if it is the first one with that."""


class ActiveRunner:
    def __init__(self, cluster: ClusterState, programmed: Programmed, on_synced: OnSynced) -> None:
        self._cluster, self._programmed, self._on_synced = cluster, programmed, on_synced
        self.plan: Plan | None = None
        """The plan that the runner was given last; None: there is no runner."""
        self._applying: Desired | None = None
        self._runner: Runner | None = None
        self._running: asyncio.Task[NoReturn] | None = None

    def wake(self) -> bool:
        """The cluster may have changed; returns whether a runner has something to do now."""
        if self._runner is None or not self._cluster.pending:
            return False
        self._runner.wake()
        return True

    def start(self, plan: Plan, dataplane: Dataplane, group: asyncio.TaskGroup) -> None:
        self._runner = Runner(
            self._cluster,
            self._programmed,
            dataplane,
            plan.settings,
            self._synced,
            intervals=plan.intervals,
            clock=Clock(),
            backoff=Backoff(first_s=0.5),
        )
        self._running = group.create_task(self._runner.run())
        self.plan, self._applying = plan, plan.desired

    def reconfigure(self, plan: Plan) -> bool:
        """Go on with this plan; returns whether it is in effect already, for lack of anything to program."""
        assert self._runner is not None, "there is a runner where there is a plan"  # noqa: S101
        takes_a_sync = self._runner.configure(plan.settings, plan.intervals)
        self.plan, self._applying = plan, plan.desired if takes_a_sync else None
        return not takes_a_sync

    async def stop(self) -> None:
        """End the runner, and wait for a sync that is under way; the kernel's state stays."""
        running, self._runner, self._running = self._running, None, None
        self.plan = self._applying = None
        if running is not None:
            running.cancel()
            await asyncio.wait([running])

    def _synced(self, sync: SyncResult) -> None:
        applied = self._applying if sync.configured and not sync.error else None
        if applied is not None:
            self._applying = None
        self._on_synced(sync, applied)
