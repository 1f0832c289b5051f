"""Carries a full resync out: the process has every route before a rule leads to it, and loses what nothing leads to any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from proxyconfig_agent.dataplane.port import Destination, Refusal, Settings
from proxyconfig_agent.dataplane.sync.batching import Ports
from proxyconfig_agent.dataplane.sync.quarantine import RefusedError
from proxyconfig_agent.dataplane.tables.kernel.generation import Writer
from proxyconfig_agent.dataplane.tables.repairs import Repairs
from proxyconfig_agent.dataplane.tables.table_sync import Step, TableSync
from proxyconfig_agent.dataplane.userspace.kernel.proxy import Proxy
from proxyconfig_agent.dataplane.userspace.model.table import table_of
from proxyconfig_agent.dataplane.userspace.sync.stale_udp import udp_destinations
from proxyconfig_agent.dataplane.userspace.table.state import FamilyState, Plan
from proxyconfig_agent.ingest.model import Family, ServiceName
from proxyconfig_agent.select.frontends import Frontends, PortName


class FullSync:
    """One full resync of the families in `tables`."""

    def __init__(self, writer: Writer, proxy: Proxy, settings: Settings, tables: Mapping[Family, TableSync], name: str) -> None:
        self._name = name
        self._writer, self._proxy, self._settings, self._tables = writer, proxy, settings, tables
        self.states = {family: FamilyState(family, settings) for family in tables}
        self.refused: dict[ServiceName, Refusal] = {}
        self.abandoned: tuple[Destination, ...] = ()
        self.operations = 0
        self.repairs = Repairs()

    def run(self, wanted: Iterable[Frontends]) -> None:
        """Raises KernelError and DataplaneError."""
        plans = self._plans(self._by_family(wanted))
        routes = {key: route for plan in plans.values() for key, route in plan.routes.items() if route is not None}
        stale = self._proxy.replace(routes, self._settings.udp_idle_s)
        for family, plan in plans.items():
            self.abandoned += tuple(udp_destinations(self._tables[family].elements, plan.elements.added, family))
            self._sync(family, plan)
            self.states[family].keep(plan)
        self._proxy.drop(stale)

    def _by_family(self, wanted: Iterable[Frontends]) -> dict[Family, Ports]:
        found: dict[Family, dict[PortName, Frontends | None]] = {family: {} for family in self._tables}
        for frontends in wanted:
            if frontends.family in found:
                found[frontends.family][frontends.name] = frontends
        return dict(found)

    def _plans(self, wanted: Mapping[Family, Ports]) -> dict[Family, Plan]:
        """Without the Services that bring out a fault of the agent."""
        while True:
            try:
                return {family: state.plan(wanted[family], without=self.refused) for family, state in self.states.items()}
            except RefusedError as error:
                self.refused[error.refusal.service] = error.refusal

    def _sync(self, family: Family, plan: Plan) -> None:
        table, sync = table_of(family, self._name), self._tables[family]
        for step in sync.steps(plan.elements.added):
            self._writer.commit(step.messages(table))
            self._note(step, cold=sync.cold)
        # Best effort: kernels before 6.2 keep a chain busy for a moment after the last element that led to it is gone.
        if self._writer.attempt(foreign := sync.foreign()):
            self._note(Step(foreign), cold=sync.cold)

    def _note(self, step: Step, *, cold: bool) -> None:
        self.operations += len(step)
        for messages in (step.before, step.behind):
            self.repairs.note_messages(messages, cold=cold)
        if not cold:
            self.repairs.note_elements(step.elements.deleted, step.elements.added)
