"""What the agent has put into the kernel for one family, by Service port, and what a change makes of it. No I/O.

`plan` turns changes into what is to be sent, and changes nothing; `keep` after the kernel took it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Set

from msgspec import Struct, field

from proxyconfig_agent.dataplane.ipvs.delta import ServerDelta, put, take
from proxyconfig_agent.dataplane.ipvs.delta import delta as server_delta
from proxyconfig_agent.dataplane.ipvs.lower import NOTHING, Share, lower
from proxyconfig_agent.dataplane.ipvs.model import maps
from proxyconfig_agent.dataplane.ipvs.model.private import is_private
from proxyconfig_agent.dataplane.ipvs.model.servers import Present, Servers, keeper
from proxyconfig_agent.dataplane.ipvs.table.draining import Draining, Reaped
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.dataplane.sync.batching import Ports
from proxyconfig_agent.dataplane.sync.quarantine import RefusedError, refusal_of
from proxyconfig_agent.dataplane.tables.delta import Delta
from proxyconfig_agent.dataplane.tables.delta import delta as element_delta
from proxyconfig_agent.dataplane.tables.model import address_sets
from proxyconfig_agent.dataplane.tables.model.ruleset import Elements
from proxyconfig_agent.dataplane.tables.service_ports import References, ServicePorts
from proxyconfig_agent.ingest.model import Address, Family, ServiceName
from proxyconfig_agent.netlink.ipvs.messages import Destination, VirtualServer
from proxyconfig_agent.select.frontends import Frontends, PortName


class Plan(Struct):
    """One step of one family: what is sent, and what is known afterwards."""

    servers: ServerDelta = field(default_factory=ServerDelta)
    elements: Delta = field(default_factory=Delta)
    routes_added: list[Address] = field(default_factory=list)
    routes_removed: list[Address] = field(default_factory=list)
    ports: dict[PortName, Frontends | None] = field(default_factory=dict)
    addresses: Counter[Address] = field(default_factory=Counter)
    draining: Counter[Address] = field(default_factory=Counter)
    on_node: Counter[Address] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.servers) + len(self.elements) + len(self.routes_added) + len(self.routes_removed)


class FamilyState:
    """Memory: a reference per Service port, a number per address, and what drains."""

    def __init__(
        self,
        family: Family,
        settings: Settings,
        now: Callable[[], float],
        lacking: Collection[str] = (),
        on_links: Collection[Address] = (),
    ) -> None:
        """`lacking`: schedulers that this kernel does not have, as far as is known. `on_links`: addresses that the node has on its
        interfaces, where a virtual server that drains needs no route, and its address is not to be closed."""
        self.family, self._settings, self._lacking, self._on_links = family, settings, lacking, on_links
        self.ports = ServicePorts()
        self.draining = Draining(now)
        self._addresses, self._draining, self._on_node = References(), References(), References()

    @property
    def addresses(self) -> Collection[Address]:
        """Those that are local to the node."""
        return self._addresses.keys() | self._draining.keys()

    def plan(self, wanted: Ports, without: Collection[ServiceName] = ()) -> Plan:
        """What these Service ports need. The Services `without` are to have nothing. Raises RefusedError."""
        changed = self.ports.changed(wanted, without)
        old = [self._share(self.ports.get(name)) for name in changed]
        new = [self._share(each) for each in changed.values()]
        plan = Plan(ports=changed)
        plan.servers = server_delta(_servers(old), _servers(new), self._draining_of(old, new))
        plan.addresses = _count(new, old, lambda share: share.addresses)
        plan.on_node = _count(new, old, lambda share: share.on_node)
        plan.draining.update(self._addresses_of(plan.servers.retired))
        plan.draining.subtract(self._addresses_of(server for server in plan.servers.changed if server in self.draining.retired))
        plan.elements = element_delta(_elements(old), _elements(new))
        self._add_shared(plan)
        return plan

    def adopt(self, wanted: Ports, without: Collection[ServiceName], present: Present) -> Plan:
        """Everything that these Service ports need, where nothing is kept yet but what the kernel has. Raises RefusedError.

        One share at a time: all of them take twice the memory of the plan."""
        plan = Plan(ports={name: new for name, new in wanted.items() if name.service not in without})
        gone = dict(present.servers)
        for share in self._shares(plan.ports):
            put(plan.servers, present.servers, share.servers, present.draining)
            plan.servers.reweigh(share.servers, present.misweighted)
            plan.addresses.update(share.addresses)
            plan.on_node.update(share.on_node)
            plan.elements.absorb(Delta({}, share.elements))
            for server in share.servers:
                gone.pop(server, None)
        take(plan.servers, gone, present.draining)
        plan.draining.update(self._addresses_of(plan.servers.retired))
        self._add_shared(plan)
        return plan

    def reap(self, reaped: Reaped) -> Plan:
        """What goes with virtual servers that are drained."""
        plan = Plan()
        plan.servers.removed = reaped.destinations
        plan.servers.deleted = reaped.servers
        plan.draining.subtract(self._addresses_of(reaped.servers))
        self._add_shared(plan)
        return plan

    def keep(self, plan: Plan) -> None:
        """The kernel has it."""
        self.ports.keep(plan.ports)
        self.draining.follow(plan.servers)
        self._addresses.keep(plan.addresses)
        self._draining.keep(plan.draining)
        self._on_node.keep(plan.on_node)

    def owners(self, plan: Plan) -> dict[VirtualServer, PortName]:
        """Whose the virtual servers of a plan are."""
        return {server: name for name, new in plan.ports.items() if new for server in self._share(new).servers}

    def _addresses_of(self, servers: Iterable[VirtualServer]) -> Iterator[Address]:
        """Those that are local to the node by our routes."""
        return (address for server in servers if (address := Address(server.address)) not in self._on_links)

    def _shares(self, ports: Ports) -> Iterator[Share]:
        """Of all Service ports, and the idle virtual server. Raises RefusedError."""
        yield Share(dict([keeper(self.family)]), {}, frozenset())
        yield from map(self._share, ports.values())

    def _share(self, frontends: Frontends | None) -> Share:
        if frontends is None:
            return NOTHING
        try:
            return lower(frontends, self._settings, self._lacking)
        except Exception as error:  # a fault of the agent, which concerns this Service alone
            raise RefusedError(refusal_of(frontends.name.service, error)) from error

    def _draining_of(self, old: Iterable[Share], new: Iterable[Share]) -> dict[VirtualServer, Set[Destination]]:
        servers = {server for share in (*old, *new) for server in share.servers}
        return {server: draining for server in servers if (draining := self.draining.of(server)) is not None}

    def _add_shared(self, plan: Plan) -> None:
        """Elements and routes of what several Service ports can have in common: with the first of them, and with the last."""
        came, went = self._addresses.turned(plan.addresses)
        here, not_here = self._on_node.turned(plan.on_node)
        plan.elements.absorb(Delta(_shared(went, not_here), _shared(came, here)))
        self._add_draining(plan)

    def _add_draining(self, plan: Plan) -> None:
        """An address stays local while anything of it drains; without a Service it takes no new connections."""
        touched = sorted({address for counts in (plan.addresses, plan.draining) for address, by in counts.items() if by})
        for address in touched:
            owned, drains = self._addresses[address], self._draining[address]
            owned_then, drains_then = owned + plan.addresses[address], drains + plan.draining[address]
            if bool(owned or drains) is not bool(owned_then or drains_then):
                (plan.routes_removed if owned or drains else plan.routes_added).append(address)
            gone, gone_then = bool(drains and not owned), bool(drains_then and not owned_then)
            if gone is not gone_then:
                elements = plan.elements.deleted if gone else plan.elements.added
                elements.setdefault(maps.DRAINING_IPS, {})[bytes(address)] = b""


def _servers(shares: Iterable[Share]) -> Servers:
    return {key: server for share in shares for key, server in share.servers.items()}


def _elements(shares: Iterable[Share]) -> Elements:
    found: Elements = {}
    for share in shares:
        for name, some in share.elements.items():
            found.setdefault(name, {}).update(some)
    return found


def _count(new: Iterable[Share], old: Iterable[Share], of: Callable[[Share], Iterable[Address]]) -> Counter[Address]:
    counts = Counter(address for share in new for address in of(share))
    counts.subtract(address for share in old for address in of(share))
    return counts


def _shared(addresses: Iterable[Address], on_node: Iterable[Address]) -> Elements:
    found: Elements = {}
    for address in addresses:
        name = maps.PRIVATE_IPS if is_private(address) else address_sets.CLUSTER_IPS
        found.setdefault(name, {})[bytes(address)] = b""
    if pairs := {address + address: b"" for address in on_node}:
        found[address_sets.HAIRPIN] = pairs
    return found
