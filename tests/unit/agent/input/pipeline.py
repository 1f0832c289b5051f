"""The agent's pure stages in a row, from the bytes of a watch to netlink messages, with a kernel that is strict about elements."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping

import msgspec
from tests.scenarios.scenario import Object
from tests.unit.agent.examples import NODE
from tests.unit.agent.nftables.kernelmodel import KernelModel

from proxyconfig_agent.cluster import Cluster, Programmed
from proxyconfig_agent.dataplane import Settings
from proxyconfig_agent.ingest import wire
from proxyconfig_agent.ingest.values import Address, Family, ServiceName
from proxyconfig_agent.iptables.delta import NONE
from proxyconfig_agent.iptables.delta import delta as iptables_delta
from proxyconfig_agent.iptables.lower import lower
from proxyconfig_agent.iptables.restore import Input
from proxyconfig_agent.iptables.ruleset import Features, PortRules
from proxyconfig_agent.nftables import containers as sets
from proxyconfig_agent.nftables import transaction
from proxyconfig_agent.nftables.batches import batches, by_family
from proxyconfig_agent.nftables.book import Book
from proxyconfig_agent.nftables.delta import delta
from proxyconfig_agent.select.frontends import Frontends, PortName
from proxyconfig_agent.watch.sinks import ServiceSink, SliceSink
from proxyconfig_client.intake import Intake

_FRONTENDS = (sets.SERVICES, sets.NODEPORTS, sets.NO_ENDPOINTS, sets.NO_LOCAL, sets.NO_ENDPOINTS_NODEPORTS)
SETTINGS = Settings(node_addresses=(Address(bytes((192, 168, 50, 1))),))


class Table:
    """One family's book, and what the kernel has of it."""

    def __init__(self, family: Family) -> None:
        self.book, self.kernel = Book(family, lambda: 0.0), KernelModel()
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
        for message in transaction.changed(self.book.family, fresh, [planned]):
            assert message
        planned.absorb(delta({}, {sets.PICKS: transaction.class_elements(fresh)}))
        self.kernel.commit(planned)
        self.book.keep()


def _rules(frontends: Frontends | None) -> PortRules:
    return lower(frontends, SETTINGS, Features(), large=False) if frontends else NONE


class Pipeline:
    """Takes events in, as a reflector does, and syncs."""

    def __init__(self) -> None:
        self.cluster = Cluster(NODE)
        services, slices = ServiceSink(self.cluster, lambda: None), SliceSink(self.cluster, lambda: None)
        decode_service = msgspec.json.Decoder(wire.Service, strict=False).decode
        decode_slice = msgspec.json.Decoder(wire.EndpointSlice, strict=False).decode
        self._takers: dict[str, Callable[[bytes], None]] = {
            "Service": Intake("services", decode_service, services, services.set_aside).take,
            "EndpointSlice": Intake("endpointslices", decode_slice, slices, slices.set_aside).take,
        }
        self.tables = {family: Table(family) for family in Family}

    def take(self, one: Object, kind: str = "", event: str = "ADDED") -> None:
        """An event about an object."""
        self.take_bytes(json.dumps({"type": event, "object": one}).encode(), kind or one["kind"])

    def take_bytes(self, line: bytes, kind: str) -> None:
        self._takers[kind](line)

    def sync(self) -> None:
        batch = self.cluster.changes()
        for portion in batches(batch.changes):
            for family, changes in by_family(portion).items():
                self.tables[family].apply(changes)
        self.cluster.settle(batch.wanted)

    def selected(self) -> dict[ServiceName, Programmed]:
        return dict(self.cluster.everything())

    def sentences(self) -> dict[ServiceName, tuple[str, ...]]:
        return dict(self.cluster.rejections())

    def addresses(self) -> dict[Family, set[bytes]]:
        """The keys of all frontends in the kernel."""
        return {
            family: {key for name in _FRONTENDS for key in table.kernel.elements.get(name, ())} for family, table in self.tables.items()
        }

    def put(self, objects: Iterable[Object]) -> None:
        for one in objects:
            self.take(one)
        self.sync()
