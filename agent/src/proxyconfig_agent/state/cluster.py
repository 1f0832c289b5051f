"""What the agent knows of the cluster: Services, their slices and this node as values. What changes waits in `pending`.

It does no I/O and knows no clock. A value that equals the one it replaces is no change, whatever happened to the object's metadata.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import replace

from proxyconfig_agent.ingest.model import EndpointSlice, Node, Service, ServiceName
from proxyconfig_agent.select.conflicts import AddressConflicts
from proxyconfig_agent.state.endpointslices import EndpointSliceIndex
from proxyconfig_agent.state.pending import UNTIMED, Pending
from proxyconfig_agent.state.view import ClusterView
from proxyconfig_client.watch.objects import Key


class ClusterState:
    """One node's view of the cluster, as of now. Used in the event loop alone; other threads are given a `snapshot`."""

    def __init__(self, node: Node, started_at: float = 0.0) -> None:
        """`started_at` (Unix seconds): endpoint changes that were triggered before are no measure of this agent's latency."""
        self.node = node
        self.pending = Pending()
        self._started_at = started_at
        self._services: dict[ServiceName, Service] = {}
        self._slices = EndpointSliceIndex()
        self._undecodable: dict[ServiceName, str] = {}
        self._conflicts = AddressConflicts()

    @property
    def services(self) -> int:
        return len(self._services)

    def service(self, name: ServiceName) -> Service | None:
        return self._services.get(name)

    def service_names(self) -> Set[ServiceName]:
        """Those that were never decodable, too: a list that does not name them means that they are gone."""
        return self._services.keys() | self._undecodable.keys()

    def endpoints(self, names: Iterable[ServiceName]) -> int:
        """How many the EndpointSlices of these Services have."""
        return sum(len(piece.traits) for name in names for piece in self._slices.of(name))

    def slice_keys(self) -> Iterable[Key]:
        return self._slices.keys()

    def known(self) -> tuple[list[Service], list[EndpointSlice]]:
        """All Services and EndpointSlices, as a checkpoint keeps them."""
        return list(self._services.values()), list(self._slices.values())

    def view(self) -> ClusterView:
        """What is known, for use before anything else is put in."""
        return ClusterView(self.node, self._services, self._slices.by_service, self._conflicts, self._undecodable)

    def snapshot(self) -> ClusterView:
        """The same for use in another thread: later changes leave it alone."""
        slices, conflicts = dict(self._slices.by_service), self._conflicts.snapshot()
        return ClusterView(self.node, dict(self._services), slices, conflicts, dict(self._undecodable))

    def put_service(self, service: Service) -> bool:
        """Take in a Service; returns whether a Service waits for a sync because of it, as all of these do."""
        recovered, before = self._undecodable.pop(service.name, None) is not None, self._services.get(service.name)
        if before == service and not recovered:
            return False
        self._services[service.name] = service
        self.pending.mark(service.name)
        self.mark(self._conflicts.change(before, service))
        return True

    def drop_service(self, name: ServiceName) -> bool:
        known, before = self._undecodable.pop(name, None) is not None, self._services.pop(name, None)
        self.mark(self._conflicts.change(before, None))
        if known or before is not None:
            self.pending.mark(name)
            return True
        return False

    def put_slice(self, piece: EndpointSlice) -> bool:
        """Take in a slice; its label may have moved it to another Service. Those of Services that we do not serve change nothing."""
        timed = {piece.family: piece.triggered_at} if piece.triggered_at > self._started_at else UNTIMED
        concerned = [name for name in self._slices.put(piece) if name in self._services]
        for name in concerned:
            # The trigger time is that of the Service that it belongs to now.
            self.pending.mark(name, timed if name == piece.service else UNTIMED)
        return bool(concerned)

    def drop_slice(self, key: Key) -> bool:
        name = self._slices.drop(key)
        if name is None or name not in self._services:
            return False
        self.pending.mark(name)
        return True

    def put_node(self, node: Node) -> bool:
        """Take in the node; where select depends on what changed, every Service is to be looked at again (row 74)."""
        before, self.node = self.node, node
        if (before.name, before.zone, before.pod_cidrs) != (node.name, node.zone, node.pod_cidrs):
            self.mark(self._services)
        return before != node

    def set_aside(self, name: ServiceName, sentence: str) -> None:
        """The Service's newest state cannot be understood: it is served as it was."""
        self._undecodable[name] = sentence
        self.pending.mark(name)

    def set_slice_aside(self, key: Key, sentence: str) -> bool:
        """A slice's newest state cannot be decoded: its last one stays in use, and the Service is marked. One never known is ignored."""
        piece = self._slices.get(key)
        return piece is not None and self.put_slice(replace(piece, rejected=(f"EndpointSlice {key.name} {sentence}",)))

    def mark(self, names: Iterable[ServiceName]) -> None:
        """Look at these again in the next sync; the names of Services that are gone are passed over."""
        for name in names:
            if name in self._services:
                self.pending.mark(name)

    def restore(self, services: Iterable[Service], slices: Iterable[EndpointSlice]) -> None:
        """Take in what a checkpoint kept, as far as nothing newer is known."""
        for service in services:
            if service.name not in self._services:
                self.put_service(service)
        for piece in slices:
            if self._slices.get(Key(piece.service.namespace, piece.name)) is None:
                self.put_slice(piece)
