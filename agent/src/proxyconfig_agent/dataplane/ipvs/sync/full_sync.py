"""A full resync of both families: read the kernel, adopt what is there, send the difference."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from proxyconfig_agent.dataplane.ipvs.kernel import kube_proxy
from proxyconfig_agent.dataplane.ipvs.kernel.kernel import Kernel, source
from proxyconfig_agent.dataplane.ipvs.kernel.rules import RulesSync
from proxyconfig_agent.dataplane.ipvs.kernel.servers import FOREIGN, Held, NotMade, Refused, lacks_scheduler, text
from proxyconfig_agent.dataplane.ipvs.lower import scheduler_of
from proxyconfig_agent.dataplane.ipvs.model.private import KEEPERS, PROBE_PORT
from proxyconfig_agent.dataplane.ipvs.model.servers import FALLBACK, Present, Server, family_of, scheduling_of, weight_of
from proxyconfig_agent.dataplane.ipvs.table.state import FamilyState, Plan
from proxyconfig_agent.dataplane.port import DataplaneError, Outcome, Refusal, Settings
from proxyconfig_agent.dataplane.sync.drift import Drift
from proxyconfig_agent.dataplane.sync.quarantine import RefusedError
from proxyconfig_agent.dataplane.sync.stage_timer import StageTimer
from proxyconfig_agent.dataplane.tables.model.ruleset import NFPROTO
from proxyconfig_agent.ingest.model import Address, Family, Protocol, ServiceName
from proxyconfig_agent.netlink.ipvs.messages import VirtualServer
from proxyconfig_agent.select.frontends import Frontends, PortName
from proxyconfig_api.objects.names import SCHEDULER_ANNOTATION

Wanted = Mapping[Family, Mapping[PortName, Frontends]]


class Actual(Struct):
    """What the kernel has of one family."""

    servers: Present
    routes: dict[bytes, bytes]
    on_links: Collection[Address]


class FullSync:
    def __init__(self, kernel: Kernel, settings: Settings, families: Iterable[Family], now: Callable[[], float], lacking: set[str]) -> None:
        """`lacking`: schedulers that this kernel does not have; more are added when they are found out."""
        self._kernel, self._settings, self._now, self._lacking = kernel, settings, now, lacking
        self._families = tuple(families)
        self._refused: dict[ServiceName, Refusal] = {}
        self._drift = Drift()
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
        rules = self._kernel.rules.full_sync(self._settings, self._families)
        clock.lap("read")
        ports: dict[Family, dict[PortName, Frontends]] = {family: {} for family in self._families}
        for frontends in wanted:
            if frontends.family in ports:
                ports[frontends.family][frontends.name] = frontends
        plans = self._plans(ports, actual, held)
        clock.lap("lower")
        while not self._commit(plans, rules):
            plans = self._plans(ports, actual, held)
        self._keep(plans, actual)
        clock.lap("commit")
        partly = without_scheduler(wanted, self._refused, self._lacking, self._settings)
        return self._outcome(rules.outcome(plans), (*self._refused.values(), *partly), clock)

    def _commit(self, plans: Mapping[Family, Plan], rules: RulesSync) -> bool:
        """Whether the kernel has it; else other plans are to be made, as more is refused or lacking now."""
        try:
            refused = self._kernel.commit(plans, self._settings, rules.lead)
        except RefusedError as error:
            self._take_out(error.refusal, plans)
            return False
        if refused and not (fresh := found_lacking(refused)):
            self._refuse(refused, plans)
        elif refused:
            self._lacking |= fresh
        return not refused

    def _take_out(self, refusal: Refusal, plans: Mapping[Family, Plan]) -> None:
        """A Service that the rules cannot have, with the virtual servers that were made for it. Raises OSError."""
        self._refused[refusal.service] = refusal
        owners = [(server, name, plan) for family, plan in plans.items() for server, name in self.states[family].owners(plan).items()]
        made = [server for server, name, plan in owners if name.service == refusal.service and server in plan.servers.made]
        self._kernel.servers.delete(made)

    def _outcome(self, of_rules: Outcome, refused: tuple[Refusal, ...], clock: StageTimer) -> Outcome:
        return replace(
            of_rules,
            operations=of_rules.operations + self._operations,
            refused=refused,
            took_s=clock.took_s,
            repaired=", ".join(filter(None, (str(self._drift), of_rules.repaired))),
            unrecorded=self._unrecorded or of_rules.unrecorded,
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
        return Actual(_present(held, family), self._routes(family), kube_proxy.on_other_links(self._kernel, family))

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
        self._drift.count("virtual servers", len(servers.made) + len(servers.changed) + len(servers.deleted))
        self._drift.count("destinations", len(servers.added) + len(servers.revived) + len(servers.drained) + len(servers.removed))
        self._drift.count("routes", len(plan.routes_added) + len(plan.routes_removed))


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
    """Takes the destinations out of `held`: these are a copy of all virtual servers."""
    found = Present({}, {}, {})
    for server, scheduling in held.schedulings.items():
        if family_of(server) is family:
            loads = held.loads.pop(server, {})
            found.servers[server] = Server(scheduling, frozenset(each for each, load in loads.items() if load.weight))
            if idle := frozenset(each for each, load in loads.items() if not load.weight):
                found.draining[server] = idle
            if odd := frozenset(each for each, load in loads.items() if load.weight not in (0, weight_of(scheduling))):
                found.misweighted[server] = odd
    return found
