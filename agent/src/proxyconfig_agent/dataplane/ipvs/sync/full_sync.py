"""A full resync of both families: read the kernel, adopt what is there, send the difference."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from proxyconfig_agent.dataplane.ipvs.kernel import kube_proxy
from proxyconfig_agent.dataplane.ipvs.kernel.kernel import Kernel, source
from proxyconfig_agent.dataplane.ipvs.kernel.servers import FOREIGN, Held, NotMade, Refused, lacks_scheduler, text
from proxyconfig_agent.dataplane.ipvs.lower import scheduler_of
from proxyconfig_agent.dataplane.ipvs.model.base_chains import LAST_CHAIN, fixed
from proxyconfig_agent.dataplane.ipvs.model.private import KEEPERS, PROBE_PORT
from proxyconfig_agent.dataplane.ipvs.model.servers import FALLBACK, Present, Server, family_of, scheduling_of, weight_of
from proxyconfig_agent.dataplane.ipvs.model.table import table_of
from proxyconfig_agent.dataplane.ipvs.sync.stale_udp import udp_destinations
from proxyconfig_agent.dataplane.ipvs.table.state import FamilyState, Plan
from proxyconfig_agent.dataplane.port import DataplaneError, Destination, Outcome, Refusal, Settings
from proxyconfig_agent.dataplane.quarantine import RefusedError
from proxyconfig_agent.dataplane.stage_timer import StageTimer
from proxyconfig_agent.dataplane.tables.kernel.dump import actual_table, elements
from proxyconfig_agent.dataplane.tables.model.ruleset import NFPROTO, Elements
from proxyconfig_agent.dataplane.tables.repairs import Repairs
from proxyconfig_agent.dataplane.tables.table_sync import TableSync
from proxyconfig_agent.ingest.model import Address, Family, Protocol, ServiceName
from proxyconfig_agent.netlink.ipvs.messages import VirtualServer
from proxyconfig_agent.select.frontends import Frontends, PortName
from proxyconfig_api.names import SCHEDULER_ANNOTATION

Wanted = Mapping[Family, Mapping[PortName, Frontends]]


@dataclass(slots=True)
class Actual:
    """What the kernel has of one family."""

    servers: Present
    routes: dict[bytes, bytes]
    table: TableSync
    on_links: Collection[Address]


class FullSync:
    def __init__(self, kernel: Kernel, settings: Settings, families: Iterable[Family], now: Callable[[], float], lacking: set[str]) -> None:
        """`lacking`: schedulers that this kernel does not have; more are added when they are found out."""
        self._kernel, self._settings, self._now, self._lacking = kernel, settings, now, lacking
        self._families = tuple(families)
        self._refused: dict[ServiceName, Refusal] = {}
        self._repairs = Repairs()
        self._operations = 0
        self._unrecorded = ""
        self.adopts = False
        """What kube-proxy has left is to be discarded now."""
        self.states: dict[Family, FamilyState] = {}

    def run(self, wanted: Iterable[Frontends], clock: StageTimer) -> Outcome:
        """Raises OSError, KernelError, DataplaneError."""
        wanted = tuple(wanted)
        self._probe_schedulers()
        held = self._adopted(self._kernel.servers.held(), wanted)
        actual = {family: self._read(family, held) for family in self._families}
        clock.lap("read")
        ports: dict[Family, dict[PortName, Frontends]] = {family: {} for family in self._families}
        for frontends in wanted:
            if frontends.family in ports:
                ports[frontends.family][frontends.name] = frontends
        plans = self._plans(ports, actual, held)
        clock.lap("lower")
        while refused := self._kernel.commit(plans, self._settings, lambda each: self._lead(each, actual)):
            if not (fresh := found_lacking(refused)):
                self._refuse(refused, plans)
            self._lacking |= fresh
            plans = self._plans(ports, actual, held)
        self._keep(plans, actual)
        clock.lap("commit")
        abandoned = tuple(each for family, plan in plans.items() for each in _abandoned(family, actual[family], plan))
        partly = without_scheduler(wanted, self._refused, self._lacking, self._settings)
        return Outcome(
            self._operations,
            (*self._refused.values(), *partly),
            clock.took_s,
            str(self._repairs),
            abandoned,
            unrecorded=self._unrecorded,
            unscheduled=_unscheduled(self._settings, self._lacking),
        )

    def _probe_schedulers(self) -> None:
        """Modules may have been loaded since."""
        asked = (self._lacking | {self._settings.ipvs.scheduler}) - {FALLBACK}
        self._lacking.update(asked)
        self._lacking.difference_update({each for each in asked if self._has_scheduler(each)})

    def _has_scheduler(self, name: str) -> bool:
        server = VirtualServer(Protocol.TCP, KEEPERS[self._families[0]], PROBE_PORT)
        return self._kernel.servers.refusal_of(server, scheduling_of(name, 0)) != errno.ENOENT

    def _adopted(self, held: Held, wanted: Iterable[Frontends]) -> Held:
        """With what kube-proxy has made, if the settings ask for it."""
        settings = self._settings.ipvs
        if not settings.adopts_kube_proxy:
            return held
        node_ports = ((each.name.protocol, each.node_port) for each in wanted if each.node_port)
        claimed = kube_proxy.claim(self._kernel, held, settings.excluded, node_ports)
        if claimed is None:
            return held
        self.adopts, self._unrecorded = True, claimed.unrecorded
        return self._kernel.servers.held()

    def _read(self, family: Family, held: Held) -> Actual:
        table = table_of(family)
        there = actual_table(self._kernel.tables, table)
        found: Elements = {}
        for name, container in (there.containers if there else {}).items():
            found[name] = dict(elements(self._kernel.tables, table, name, container.key_length))
        routes = self._routes(family)
        sync = TableSync(table, fixed(self._settings, family), LAST_CHAIN, there, found)
        return Actual(_present(held, family), routes, sync, kube_proxy.on_other_links(self._kernel, family))

    def _routes(self, family: Family) -> dict[bytes, bytes]:
        """Those that are right. After the node's address has changed, none is: they go, and are made again at once."""
        routes = self._kernel.routes.held(NFPROTO[family])
        src = source(self._settings, family)
        misled = [address for address, has in routes.items() if has not in (src, b"")]
        self._kernel.routes.remove(misled)
        return {address: has for address, has in routes.items() if address not in misled}

    def _plans(self, ports: Wanted, actual: Mapping[Family, Actual], held: Held) -> dict[Family, Plan]:
        """Without the Services that are refused, in both families."""
        while True:
            try:
                plans = {family: self._plan(family, ports[family], actual[family]) for family in self._families}
            except RefusedError as error:
                self._refused[error.refusal.service] = error.refusal
                continue
            foreign = [server for plan in plans.values() for server in plan.servers.made if server in held.foreign]
            if not foreign:
                return plans
            self._refuse({server: NotMade(f"{text(server)} {FOREIGN}") for server in foreign}, plans)

    def _plan(self, family: Family, ports: Mapping[PortName, Frontends], actual: Actual) -> Plan:
        self.states[family] = state = FamilyState(family, self._settings, self._now, self._lacking, actual.on_links)
        plan = state.adopt(ports, self._refused, actual.servers)
        wanted = set(plan.routes_added)
        plan.routes_removed = sorted(Address(address) for address in actual.routes if address not in wanted)
        plan.routes_added = sorted(address for address in wanted if address not in actual.routes)
        return plan

    def _refuse(self, refused: Refused, plans: Mapping[Family, Plan]) -> None:
        """Raises DataplaneError for what belongs to no Service."""
        for family, plan in plans.items():
            owners = self.states[family].owners(plan)
            for server, why in refused.items():
                if name := owners.get(server):
                    self._refused[name.service] = Refusal(name.service, f"port {name}: {why.sentence}")
                elif family_of(server) is family:
                    raise DataplaneError(f"ipvs: {why.sentence}")

    def _lead(self, plans: Mapping[Family, Plan], actual: Mapping[Family, Actual]) -> None:
        for family, plan in plans.items():
            sync, table = actual[family].table, table_of(family)
            for step in sync.steps(plan.elements.added):
                self._kernel.writer.commit(step.messages(table))
                self._operations += len(step)
                self._repairs.note_messages((*step.before, *step.behind), cold=sync.cold)
                if not sync.cold:
                    self._repairs.note_elements(step.elements.deleted, step.elements.added)
            # Best effort: kernels before 6.2 keep a chain busy for a moment after the last element that led to it is gone.
            self._kernel.writer.attempt(sync.foreign())

    def _keep(self, plans: Mapping[Family, Plan], actual: Mapping[Family, Actual]) -> None:
        for family, plan in plans.items():
            state = self.states[family]
            for server, destinations in actual[family].servers.draining.items():
                state.draining.adopt(server, destinations)
            state.keep(plan)
            self._operations += len(plan.servers) + len(plan.routes_added) + len(plan.routes_removed)
            self._note(plan)

    def _note(self, plan: Plan) -> None:
        servers = plan.servers
        self._repairs.count("virtual servers", len(servers.made) + len(servers.changed) + len(servers.deleted))
        self._repairs.count("destinations", len(servers.added) + len(servers.revived) + len(servers.drained) + len(servers.removed))
        self._repairs.count("routes", len(plan.routes_added) + len(plan.routes_removed))


def found_lacking(refused: Refused) -> set[str]:
    """Schedulers that the kernel turns out not to have: Services take the next one."""
    return {why.scheduler for why in refused.values()} - {"", FALLBACK}


def _unscheduled(settings: Settings, lacking: Collection[str]) -> str:
    name = settings.ipvs.scheduler
    return f"spec.ipvs.scheduler: {lacks_scheduler(name)}; Services have {FALLBACK} meanwhile" if name in lacking else ""


def without_scheduler(
    wanted: Iterable[Frontends], refused: Collection[ServiceName], lacking: Collection[str], settings: Settings
) -> Iterator[Refusal]:
    """Of the Services that are served with another scheduler than the one that they ask for: each once."""
    found = {frontends.name.service: frontends.scheduler for frontends in wanted if frontends.scheduler in lacking}
    for service, scheduler in found.items():
        if service not in refused:
            instead = scheduler_of(settings, lacking)
            words = f"metadata.annotations[{SCHEDULER_ANNOTATION}]: {lacks_scheduler(scheduler)}; meanwhile it has {instead}"
            yield Refusal(service, words, partly=True)


def _present(held: Held, family: Family) -> Present:
    found = Present({}, {}, {})
    for server, scheduling in held.schedulings.items():
        if family_of(server) is family:
            loads = held.loads.get(server, {})
            found.servers[server] = Server(scheduling, frozenset(each for each, load in loads.items() if load.weight))
            if idle := frozenset(each for each, load in loads.items() if not load.weight):
                found.draining[server] = idle
            if odd := frozenset(each for each, load in loads.items() if load.weight not in (0, weight_of(scheduling))):
                found.misweighted[server] = odd
    return found


def _abandoned(family: Family, actual: Actual, plan: Plan) -> Iterable[Destination]:
    return udp_destinations(actual.table.elements, plan.elements.added, family)
