"""Deletes what has drained. Only while something drains, and not often, it reads the virtual servers of which something does."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from proxyconfig_agent.dataplane.ipvs.kernel.kernel import Kernel
from proxyconfig_agent.dataplane.ipvs.table.state import FamilyState, Plan
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink.ipvs.messages import Destination, VirtualServer

PERIOD_S = 10.0


class Reaper:
    def __init__(self, kernel: Kernel, now: Callable[[], float]) -> None:
        self._kernel, self._now = kernel, now
        self._next = 0.0

    def reap(self, states: Mapping[Family, FamilyState], settings: Settings) -> bool:
        """If it is time; whether there was anything. Raises OSError, KernelError."""
        if self._now() < self._next or not any(state.draining for state in states.values()):
            return False
        self._next = self._now() + PERIOD_S
        plans = self._plans(states)
        if plans:
            self._kernel.commit(plans, settings)
            for family, plan in plans.items():
                states[family].keep(plan)
        return bool(plans)

    def _plans(self, states: Mapping[Family, FamilyState]) -> dict[Family, Plan]:
        loads = functools.cache(self._kernel.servers.loads)

        def connections(server: VirtualServer, destination: Destination) -> int | None:
            load = loads(server).get(destination)
            return load.active + load.inactive if load else None

        reaped = {family: state.draining.over(connections) for family, state in states.items()}
        return {family: states[family].reap(each) for family, each in reaped.items() if each}
