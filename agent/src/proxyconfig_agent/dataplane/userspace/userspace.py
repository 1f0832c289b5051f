"""The userspace mode: the `Dataplane` that the runner talks to. Both families; I/O is in `kernel`, everything else here is pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from msgspec.structs import replace

from proxyconfig_agent.dataplane.port import Change, DataplaneError, Outcome, ProbeResult, Refusal, Settings
from proxyconfig_agent.dataplane.sync.batching import by_family
from proxyconfig_agent.dataplane.sync.stage_timer import StageTimer
from proxyconfig_agent.dataplane.tables.fault_isolation import FaultIsolation, Wanted
from proxyconfig_agent.dataplane.tables.kernel import dump, hooks, transaction
from proxyconfig_agent.dataplane.tables.kernel.connect import connected
from proxyconfig_agent.dataplane.tables.kernel.generation import Writer
from proxyconfig_agent.dataplane.tables.table_sync import TableSync
from proxyconfig_agent.dataplane.userspace.kernel import processes
from proxyconfig_agent.dataplane.userspace.kernel.probe import probe
from proxyconfig_agent.dataplane.userspace.kernel.proxy import Proxy
from proxyconfig_agent.dataplane.userspace.model.base_chains import LAST_CHAIN, fixed
from proxyconfig_agent.dataplane.userspace.model.entrances import Entrances
from proxyconfig_agent.dataplane.userspace.model.table import table_of
from proxyconfig_agent.dataplane.userspace.proxy.control.names import ALL_SERVICES
from proxyconfig_agent.dataplane.userspace.sync.full_sync import FullSync
from proxyconfig_agent.dataplane.userspace.table.state import FamilyState, Plan
from proxyconfig_agent.dataplane.userspace.table.unserved import refusals
from proxyconfig_agent.ingest.model import Family, ServiceName
from proxyconfig_agent.netlink.nftables.connection import Connection, KernelError
from proxyconfig_agent.netlink.nftables.messages import Message, delete_table
from proxyconfig_agent.select.frontends import Frontends


class Userspace:
    """One node's Services behind a proxy process, in the network namespace of the thread that makes it.

    `purpose`: what of them, by the name of table and process (`proxy.control.names`)."""

    def __init__(self, connection: Connection | None = None, purpose: str = ALL_SERVICES) -> None:
        """Raises DataplaneError where the kernel has no nf_tables."""
        self._purpose, self._tables = purpose, {family: table_of(family, purpose) for family in Family}
        self._kernel = connection or connected("userspace")
        self.writer, self._proxy = Writer(self._kernel), Proxy(purpose)
        self._families: tuple[Family, ...] = ()
        self._states: dict[Family, FamilyState] = {}
        self._entrances = Entrances()
        self._retirement: processes.Retirement | None = None

    def probe(self) -> ProbeResult:
        with _translated():
            found = probe(self._kernel)
        self._families = found.served
        return found

    def resync(self, settings: Settings, wanted: Iterable[Frontends]) -> Outcome:
        clock, wanted = StageTimer(), tuple(wanted)
        ended = bool(self._states) and not self._proxy.is_running
        self._entrances = self._proxy.start(settings.proxy_addresses)
        with _translated():
            try:
                sync = self._full_sync(settings, wanted, clock)
            except KernelError:
                # A Service that the kernel does not take is found with those that it takes in place; if it is none of them, this fails.
                sync = self._full_sync(settings, (), clock)
                isolation = FaultIsolation("userspace", self._states, self.writer, self._commit, sync.refused)
                sync.operations += isolation.one_by_one(by_family(Change(None, frontends) for frontends in wanted))
        if ended:
            sync.operations += 1
            sync.repairs.count("proxy processes")
        clock.lap("commit")
        outcome = self._outcome(sync.operations, sync.refused, {frontends.name.service for frontends in wanted}, clock)
        return replace(outcome, repaired=str(sync.repairs), abandoned=sync.abandoned)

    def apply(self, changes: Iterable[Change]) -> Outcome:
        if not self._states:
            raise DataplaneError("userspace: changes came before the first full sync; call resync first")
        clock, changes = StageTimer(), tuple(changes)
        isolation = FaultIsolation("userspace", self._states, self.writer, self._commit)
        with _translated():
            operations = isolation.apply(changes)
        clock.lap("commit")
        services = {known.name.service for change in changes if (known := change.new or change.old)}
        return self._outcome(operations, isolation.refused, services, clock)

    def is_slow(self, changes: Sequence[Change]) -> bool:
        """The process may have connections to serve first."""
        return bool(changes)

    def disturbed(self) -> bool:
        with _translated():
            changed = self.writer.changed_externally()
        return changed or (bool(self._states) and not self._proxy.is_running)

    def remove(self) -> None:
        """Take both tables away, end every proxy process, and forget what was there. Raises DataplaneError and OSError."""
        self._delete_tables()
        self._proxy.end()
        self._states = {}

    def disarm(self) -> bool:
        with _translated():
            self.writer.commit(hooks.taken(self._kernel, self._tables.values()))
        return True

    def arm(self) -> None:
        with _translated():
            self.writer.commit(hooks.given(self._kernel, self._tables.values()))

    def retire(self, drain_s: float) -> bool:
        if self._retirement is None:
            self._delete_tables()
            self._retirement = processes.Retirement(self._purpose)
        return self._retirement.step(drain_s)

    def scan(self) -> list[str]:
        with _translated():
            tables = [line for table in self._tables.values() for line in dump.scanned(self._kernel, table)]
        return [*tables, *processes.lines(self._purpose)]

    def close(self) -> None:
        """The rules and the process stay; the process does not for long."""
        self._proxy.close()
        self._kernel.close()

    def _delete_tables(self) -> None:
        with _translated():
            self.writer.commit([delete_table(table) for table in self._tables.values() if dump.actual_table(self._kernel, table)])

    def _supported(self) -> tuple[Family, ...]:
        if not self._families:
            self.probe()
        return self._families

    def _full_sync(self, settings: Settings, wanted: Iterable[Frontends], clock: StageTimer) -> FullSync:
        """Raises KernelError and DataplaneError."""
        with self.writer.begin_read():
            tables = {family: self._table_sync(settings, family) for family in self._supported()}
            clock.lap("read")
            sync = FullSync(self.writer, self._proxy, settings, tables, self._purpose)
            sync.run(wanted)
        self._states = sync.states
        return sync

    def _table_sync(self, settings: Settings, family: Family) -> TableSync:
        table = self._tables[family]
        held = dump.actual_table(self._kernel, table)
        lengths = {name: each.key_length for name, each in held.containers.items()} if held else {}
        elements = {name: dict(dump.elements(self._kernel, table, name, length)) for name, length in lengths.items()}
        return TableSync(table, fixed(settings, self._entrances, family), LAST_CHAIN, held, elements)

    def _commit(self, isolation: FaultIsolation[Plan], wanted: Wanted) -> int:
        """Raises KernelError if nf_tables refuses it; everything is as before then."""
        plans = isolation.plans(wanted)
        routes = {key: route for plan in plans.values() for key, route in plan.routes.items()}
        before = {key: route for plan in plans.values() for key, route in plan.before.items()}
        self._proxy.put(route for route in routes.values() if route is not None)
        try:
            self.writer.commit(self._messages(plans))
        except KernelError:
            self._proxy.put(route for route in before.values() if route is not None)
            self._proxy.drop(key for key, route in before.items() if route is None)
            raise
        self._proxy.drop(key for key, route in routes.items() if route is None)
        for family, plan in plans.items():
            self._states[family].keep(plan)
        return sum(map(len, plans.values()))

    def _messages(self, plans: Mapping[Family, Plan]) -> Iterator[Message]:
        for family, plan in plans.items():
            yield from transaction.deleted(self._tables[family], [plan.elements.deleted])
            yield from transaction.added(self._tables[family], [plan.elements.added])

    def _outcome(
        self, operations: int, refused: Mapping[ServiceName, Refusal], services: Iterable[ServiceName], clock: StageTimer
    ) -> Outcome:
        served = (service for service in services if service not in refused)
        unserved = refusals(served, (state.unserved for state in self._states.values()))
        return Outcome(operations, (*refused.values(), *unserved), clock.took_s, relays=self._entrances.packed())


@contextmanager
def _translated() -> Iterator[None]:
    """What the kernel says, as an error of the mode."""
    try:
        yield
    except KernelError as error:
        raise DataplaneError(f"userspace: {error}") from error
