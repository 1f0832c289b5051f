"""The agent's memory: Services, their slices and this node as values, what has changed since the last sync, and what was programmed.

The watches put values in (`put_*`, `drop_*`); the runner takes changes out and says what became of them. It does no I/O and knows
no clock. A value that equals the one it replaces is no change, whatever happened to the object's metadata.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from proxyconfig_agent.dataplane.port import Change
from proxyconfig_agent.ingest.messages import few
from proxyconfig_agent.ingest.model import EndpointSlice, Family, Node, Service, ServiceName
from proxyconfig_agent.select.conflicts import AddressConflicts
from proxyconfig_agent.select.frontends import Frontends, PortName, count
from proxyconfig_agent.select.healthchecks import HealthCheck, health_checks
from proxyconfig_agent.select.select import select
from proxyconfig_agent.state.endpointslices import EndpointSliceIndex
from proxyconfig_client.watch.objects import Key

NEEDED_FIRST = (ServiceName("default", "kubernetes"), ServiceName("kube-system", "kube-dns"))
"""What the node and its pods need to start at all: the API server and the cluster's DNS."""

_UNTIMED: Mapping[Family, float] = {}

Programmed = tuple[Frontends, ...]


@dataclass(slots=True)
class Batch:
    """What a sync is about to do for some Services, to be settled once the kernel has it."""

    wanted: dict[ServiceName, Programmed] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    triggered_at: list[tuple[Family, float]] = field(default_factory=list)
    """When the endpoints of a Service began to change (Unix seconds), where that is known."""


class Cluster:
    """One node's view of the cluster. `select_s` sums up the seconds spent in select."""

    def __init__(self, node: Node, started_at: float = 0.0) -> None:
        """`started_at` (Unix seconds): endpoint changes that were triggered before are no measure of this agent's latency."""
        self.node = node
        self.endpoints = 0
        """Over all Service ports and families, as programmed."""
        self.ports = 0
        self._started_at = started_at
        self._services: dict[ServiceName, Service] = {}
        self._slices = EndpointSliceIndex()
        self._dirty: dict[ServiceName, dict[Family, float]] = {}  # with the earliest trigger times
        self._programmed: dict[ServiceName, Programmed] = {}
        self._rejections: dict[ServiceName, tuple[str, ...]] = {}
        self._health_checks: dict[ServiceName, tuple[HealthCheck, ...]] = {}
        self.health_checks_changed = 0
        """Grows whenever `health_checks` may be others than before."""
        self._undecodable: dict[ServiceName, str] = {}
        self._claims = AddressConflicts()

    def put_service(self, service: Service) -> bool:
        """Take in a Service; returns whether a Service waits for a sync because of it, as all of these do."""
        recovered, before = self._undecodable.pop(service.name, None) is not None, self._services.get(service.name)
        if before == service and not recovered:
            return False
        self._services[service.name] = service
        self._mark(service.name)
        self.mark(self._claims.change(before, service))
        return True

    def drop_service(self, name: ServiceName) -> bool:
        known, before = self._undecodable.pop(name, None) is not None, self._services.pop(name, None)
        self.mark(self._claims.change(before, None))
        if known or before is not None:
            self._dirty.setdefault(name, {})
            return True
        return False

    def put_slice(self, piece: EndpointSlice) -> bool:
        """Take in a slice; its label may have moved it to another Service. Those of Services that we do not serve change nothing."""
        timed = {piece.family: piece.triggered_at} if piece.triggered_at > self._started_at else _UNTIMED
        # The trigger time is that of the Service that it belongs to now.
        marked = [self._mark(name, timed if name == piece.service else _UNTIMED) for name in self._slices.put(piece)]
        return any(marked)

    def drop_slice(self, key: Key) -> bool:
        name = self._slices.drop(key)
        return name is not None and self._mark(name)

    def put_node(self, node: Node) -> bool:
        """Take in the node; where select depends on what changed, every Service is to be looked at again (row 74)."""
        before, self.node = self.node, node
        if (before.name, before.zone, before.pod_cidrs) != (node.name, node.zone, node.pod_cidrs):
            for name in self._services:
                self._mark(name)
        return before != node

    def known(self) -> tuple[list[Service], list[EndpointSlice]]:
        """All Services and EndpointSlices, as a file keeps them."""
        return list(self._services.values()), list(self._slices.values())

    def recall(self, services: Iterable[Service], slices: Iterable[EndpointSlice]) -> None:
        """Take in what a file kept, as far as nothing newer is known."""
        for service in services:
            if service.name not in self._services:
                self.put_service(service)
        for piece in slices:
            if self._slices.get(Key(piece.service.namespace, piece.name)) is None:
                self.put_slice(piece)

    def service_names(self) -> Iterable[ServiceName]:
        return self._services.keys()

    def slice_keys(self) -> Iterable[Key]:
        return self._slices.keys()

    def service(self, name: ServiceName) -> Service | None:
        return self._services.get(name)

    def set_aside(self, name: ServiceName, sentence: str) -> None:
        """The Service's newest state cannot be understood: it is served as it was."""
        self._undecodable[name] = sentence
        self._dirty.setdefault(name, {})

    def set_slice_aside(self, key: Key, sentence: str) -> bool:
        """A slice's newest state cannot be understood: it is used as it was, and its Service says so. One never known is nobody's."""
        piece = self._slices.get(key)
        return piece is not None and self.put_slice(replace(piece, rejected=(f"EndpointSlice {key.name} {sentence}",)))

    def rejections(self) -> Iterator[tuple[ServiceName, tuple[str, ...]]]:
        """What of Services and their slices cannot be used, as sentences, as of the last sync."""
        for name in {**self._rejections, **self._undecodable}:
            undecodable = self._undecodable.get(name)
            yield name, self._rejections.get(name, ()) + ((undecodable,) if undecodable else ())

    @property
    def dirty(self) -> int:
        """How many Services wait for a sync."""
        return len(self._dirty)

    @property
    def services(self) -> int:
        return len(self._services)

    def mark(self, names: Iterable[ServiceName]) -> None:
        """Look at these again in the next sync."""
        for name in names:
            self._mark(name)

    def changes(self) -> Batch:
        """What the waiting Services need. They keep waiting until the batch is settled."""
        batch = Batch()
        for name, triggered_at in self._dirty.items():
            wanted = self._wanted(name)
            batch.wanted[name] = wanted
            batch.changes += _differences(self._programmed.get(name, ()), wanted)
            batch.triggered_at += triggered_at.items()
        return batch

    def everything(self) -> Iterator[tuple[ServiceName, Programmed]]:
        """What every Service needs, one after the other, those first that the node itself needs.

        What is programmed already comes as the same object, so that a resync holds nothing twice."""
        first = [name for name in NEEDED_FIRST if name in self._services]
        for name in (*first, *(name for name in self._services if name not in NEEDED_FIRST)):
            wanted, programmed = self._wanted(name), self._programmed.get(name)
            yield name, programmed if programmed == wanted else wanted

    def settle(self, wanted: dict[ServiceName, Programmed], refused: Iterable[ServiceName] = ()) -> None:
        """The kernel has what `wanted` says, except for the `refused` ones, of which it has nothing."""
        gone = set(refused)
        for name, frontends in wanted.items():
            self._dirty.pop(name, None)
            self._program(name, () if name in gone else frontends)
            self._note_rejections(name)
            self._note_health_checks(name, refused=name in gone)

    def forget(self) -> None:
        """The kernel has nothing, and nobody waits: a resync settles everything that there is."""
        self._programmed.clear()
        self._rejections.clear()
        self._health_checks.clear()
        self.health_checks_changed += 1
        self._dirty.clear()
        self.endpoints = self.ports = 0

    def programmed(self) -> Iterator[Frontends]:
        """What the kernel has, by all we know. The page of metrics asks from its own thread: the list is made at once."""
        for frontends in list(self._programmed.values()):
            yield from frontends

    def health_checks(self) -> list[HealthCheck]:
        """Of the Services that have such a port, as of the last sync."""
        return [check for checks in self._health_checks.values() for check in checks]

    def _program(self, name: ServiceName, frontends: Programmed) -> None:
        before = self._programmed.get(name, ())
        self.endpoints += _endpoints(frontends) - _endpoints(before)
        self.ports += len(frontends) - len(before)
        if frontends:
            self._programmed[name] = frontends
        else:
            self._programmed.pop(name, None)

    def _note_rejections(self, name: ServiceName) -> None:
        service = self._services.get(name)
        pieces = sorted(self._slices.of(name), key=lambda piece: piece.name) if service else ()
        of_slices = [sentence for piece in pieces for sentence in piece.rejected]
        lost = self._claims.sentences(service) if service else []
        if service and (service.rejected or of_slices or lost):
            self._rejections[name] = (*service.rejected, *few(lost), *few(of_slices))
        else:
            self._rejections.pop(name, None)

    def _note_health_checks(self, name: ServiceName, *, refused: bool) -> None:
        """A Service that could not be programmed has no endpoint here, for a load balancer."""
        service, before = self._services.get(name), self._health_checks.pop(name, ())
        slices = () if refused else self._slices.of(name)
        asked = health_checks(service, slices, self.node) if service is not None and service.health_check_node_port else ()
        checks = self._claims.answered(asked) if asked else ()
        if checks:
            self._health_checks[name] = checks
        self.health_checks_changed += checks != before

    def _wanted(self, name: ServiceName) -> Programmed:
        service = self._services.get(name)
        return self._claims.granted(select(service, self._slices.of(name), self.node)) if service else ()

    def _mark(self, name: ServiceName, triggered_at: Mapping[Family, float] = _UNTIMED) -> bool:
        """Have a Service wait for a sync; returns whether it is one that we serve, or did."""
        if name not in self._services and name not in self._programmed:
            return False
        earliest = self._dirty.setdefault(name, {})
        for family, at in triggered_at.items():
            earliest[family] = min(at, earliest.get(family, at))
        return True


def _differences(before: Programmed, wanted: Programmed) -> list[Change]:
    old: dict[tuple[PortName, Family], Frontends] = {(frontends.name, frontends.family): frontends for frontends in before}
    changes = []
    for new in wanted:
        was = old.pop((new.name, new.family), None)
        if was != new:
            changes.append(Change(was, new))
    return [Change(gone, None) for gone in old.values()] + changes


def _endpoints(frontends: Programmed) -> int:
    """Each endpoint once per port and family; those used by Local policies only, too."""
    return sum(count(one.cluster or one.local, one.family) for one in frontends)
