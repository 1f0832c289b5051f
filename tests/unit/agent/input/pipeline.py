"""The agent's pure stages in a row, from the bytes of a watch to netlink messages, with a kernel that is strict about elements."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping

import msgspec
from tests.support.scenarios.scenario import Object
from tests.unit.agent.dataplane.nftables.kernelmodel import KernelModel
from tests.unit.agent.examples import NODE

from proxyconfig_agent.dataplane.iptables.delta import NONE
from proxyconfig_agent.dataplane.iptables.delta import delta as iptables_delta
from proxyconfig_agent.dataplane.iptables.lower import lower
from proxyconfig_agent.dataplane.iptables.model.ruleset import Features, PortRules
from proxyconfig_agent.dataplane.iptables.tools.restore import Input
from proxyconfig_agent.dataplane.nftables.kernel.changes import changed, class_elements
from proxyconfig_agent.dataplane.nftables.model import sets
from proxyconfig_agent.dataplane.nftables.table.state import TableState
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.dataplane.sync.batching import batches, by_family
from proxyconfig_agent.dataplane.tables.delta import delta
from proxyconfig_agent.dataplane.tables.model import address_sets
from proxyconfig_agent.ingest import apitypes
from proxyconfig_agent.ingest.model import Address, Family, ServiceName
from proxyconfig_agent.select.frontends import Frontends, PortName
from proxyconfig_agent.state.batch import changes_of
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.programmed import Programmed, ServicePorts
from proxyconfig_agent.state.rejections import Rejections
from proxyconfig_agent.state.settlement import Settlement
from proxyconfig_agent.watch.handlers import EndpointSliceHandler, ServiceHandler
from proxyconfig_client.watch.decoder import Decoder

_FRONTENDS = (sets.SERVICES, sets.NODEPORTS, address_sets.NO_ENDPOINTS, address_sets.NO_LOCAL, address_sets.NO_ENDPOINTS_NODEPORTS)
SETTINGS = Settings(node_addresses=(Address(bytes((192, 168, 50, 1))),))


class Table:
    """One family's book, and what the kernel has of it."""

    def __init__(self, family: Family) -> None:
        self.book, self.kernel = TableState(family, lambda: 0.0), KernelModel()
        self.iptables = bytearray()
        """All that iptables-restore would have been given."""

    def apply(self, changes: Mapping[PortName, Frontends | None]) -> None:
        for name, new in changes.items():
            record = self.book.records.get(name)
            old, wanted = (_rules(each) for each in (record.frontends if record else None, new))
            given = Input(())
            given.add(iptables_delta(old, wanted))
            self.iptables += b"".join(given.text())
        planned = self.book.delta(self.book.lower(changes, SETTINGS))
        fresh = self.book.classes.fresh()
        for message in changed(self.book.family, fresh, [planned]):
            assert message
        planned.absorb(delta({}, {sets.PICKS: class_elements(fresh)}))
        self.kernel.commit(planned)
        self.book.keep()


def _rules(frontends: Frontends | None) -> PortRules:
    return lower(frontends, SETTINGS, Features(), large=False) if frontends else NONE


class Pipeline:
    """Takes events in, as a reflector does, and syncs."""

    def __init__(self) -> None:
        self.cluster, self.programmed = ClusterState(NODE), Programmed()
        services, slices = ServiceHandler(self.cluster, lambda: None), EndpointSliceHandler(self.cluster, lambda: None)
        decode_service = msgspec.json.Decoder(apitypes.Service, strict=False).decode
        decode_slice = msgspec.json.Decoder(apitypes.EndpointSlice, strict=False).decode
        self._takers: dict[str, Callable[[bytes], None]] = {
            "Service": Decoder("services", decode_service, services, services.on_undecodable).take,
            "EndpointSlice": Decoder("endpointslices", decode_slice, slices, slices.on_undecodable).take,
        }
        self.tables = {family: Table(family) for family in Family}

    def take(self, one: Object, kind: str = "", event: str = "ADDED") -> None:
        """An event about an object."""
        self.take_bytes(json.dumps({"type": event, "object": one}).encode(), kind or one["kind"])

    def take_bytes(self, line: bytes, kind: str) -> None:
        self._takers[kind](line)

    def sync(self) -> None:
        batch = changes_of(self.cluster.pending.take(), self.cluster.view(), self.programmed)
        for portion in batches(batch.changes):
            for family, changes in by_family(portion).items():
                self.tables[family].apply(changes)
        list(Settlement(self.programmed, Rejections()).settle(batch.wanted, ()))

    def selected(self) -> dict[ServiceName, ServicePorts]:
        view = self.cluster.view()
        return {name: view.select(name).ports for name in view.names()}

    def sentences(self) -> dict[ServiceName, tuple[str, ...]]:
        view = self.cluster.view()
        return {name: sentences for name in view.names() if (sentences := view.select(name).rejected)}

    def addresses(self) -> dict[Family, set[bytes]]:
        """The keys of all frontends in the kernel."""
        return {
            family: {key for name in _FRONTENDS for key in table.kernel.elements.get(name, ())} for family, table in self.tables.items()
        }

    def put(self, objects: Iterable[Object]) -> None:
        for one in objects:
            self.take(one)
        self.sync()
