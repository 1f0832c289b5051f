"""The book and the kernel agree, whatever happens in between."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.unit.agent.dataplane.nftables.frontends import apart, backends, frontends, ip, network, port_name
from tests.unit.agent.dataplane.nftables.kernelmodel import KernelModel, union

from proxyconfig_agent.dataplane.nftables.kernel.changes import class_elements
from proxyconfig_agent.dataplane.nftables.lower import Numbers, lower
from proxyconfig_agent.dataplane.nftables.model import sets
from proxyconfig_agent.dataplane.nftables.table.recovery import NumberRecovery
from proxyconfig_agent.dataplane.nftables.table.state import TableState
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.dataplane.tables.delta import delta
from proxyconfig_agent.dataplane.tables.model import address_sets
from proxyconfig_agent.dataplane.tables.model.address_elements import protocol_and_port
from proxyconfig_agent.ingest.model import Family, Policy, Protocol
from proxyconfig_agent.select.frontends import Frontends, PortName

SETTINGS = Settings(node_addresses=(ip("192.168.50.1"),))
ENDPOINTS = ["10.244.0.1:80", "10.244.0.2:80", "10.244.1.1:80", "10.244.1.1:81"]


def any_frontends() -> st.SearchStrategy[Frontends]:
    """Any of two thousand: to draw each field of each for itself takes many times as long as what is tested with them."""
    return st.sampled_from(_drawn())


@cache
def _drawn() -> list[Frontends]:
    random = Random(0)
    return [_any_frontends(random) for _ in range(2000)]


def _any_frontends(random: Random) -> Frontends:
    """From a small world, so that Services meet: shared ClusterIPs (ports of one Service), contested addresses, common endpoints."""
    service, (port_name_, port) = random.choice("abc"), random.choice((("http", 80), ("https", 443)))
    cluster = random.sample(ENDPOINTS, random.randint(0, len(ENDPOINTS)))
    local = random.sample(cluster, random.randint(0, len(cluster)))
    return frontends(
        service,
        f"10.96.0.{ord(service)}",
        tuple(cluster),
        port_name=port_name_,
        port=port,
        local=tuple(local),
        external_ips=tuple(map(ip, random.sample(("192.0.2.1", "192.0.2.2"), random.randint(0, 2)))),
        load_balancer_ips=tuple(map(ip, random.sample(("192.0.2.2", "192.0.2.3"), random.randint(0, 2)))),
        node_port=random.choice((0, 0, 30001, 30002)),
        internal_policy=random.choice(list(Policy)),
        external_policy=random.choice(list(Policy)),
        affinity_s=random.choice((0, 0, 60, 10800)),
        source_ranges=random.choice(((), (network("192.168.0.0/16"),), (network("10.0.0.0/8"), network("10.1.0.0/16")))),
        on_node=tuple(sorted({ip(endpoint.split(":")[0]) for endpoint in local})),
    )


batches = st.lists(st.lists(st.tuples(any_frontends(), st.booleans()), min_size=1, max_size=4), max_size=8)


class World:
    """The state of a table, the kernel it is written to, and the desired Services."""

    def __init__(self) -> None:
        self.book = TableState(Family.IPV4, lambda: 0.0)
        self.kernel = KernelModel()

    def apply(self, changes: dict[PortName, Frontends | None]) -> None:
        planned = self.book.delta(self.book.lower(self.allowed(changes), SETTINGS))
        planned.absorb(self._new_classes())
        self.kernel.commit(planned)
        self.book.keep()

    def allowed(self, changes: dict[PortName, Frontends | None]) -> dict[PortName, Frontends | None]:
        """The changes without addresses that others have."""
        staying = [record.frontends for name, record in self.book.records.items() if name not in changes]
        kept = apart((new for new in changes.values() if new), staying)
        return {**dict.fromkeys(changes), **{new.name: new for new in kept}}

    def _new_classes(self) -> Any:
        return delta({}, {sets.PICKS: class_elements(self.book.classes.fresh())})

    def lowered(self) -> dict[str, dict[bytes, bytes]]:
        """What all records together ask for."""
        codes = self.book.classes.codes
        records = self.book.records.values()
        each = (
            lower(record.frontends, Numbers(record.identity, codes, record.slots.numbers), SETTINGS.node_addresses) for record in records
        )
        return union(*each, {sets.PICKS: class_elements(codes)})


@settings(max_examples=80)
@given(batches)
def test_after_any_changes_the_kernel_has_what_the_last_state_asks_for_and_nothing_else(
    changes: list[list[tuple[Frontends, bool]]],
) -> None:
    world = World()
    for batch in changes:
        world.apply({port.name: None if gone else port for port, gone in batch})
        assert world.kernel.elements == world.lowered()


@settings(max_examples=50)
@given(batches)
def test_a_restart_adopts_everything_and_changes_nothing(changes: list[list[tuple[Frontends, bool]]]) -> None:
    world = World()
    for batch in changes:
        world.apply({port.name: None if gone else port for port, gone in batch})
    held = world.kernel.held()
    book = TableState(Family.IPV4, lambda: 0.0)
    adoption = NumberRecovery(book, None, held, set())
    for record in world.book.records.values():
        wanted = book.delta(book.lower({record.frontends.name: record.frontends}, SETTINGS, adoption.known))
        difference = held.difference(wanted.added)
        assert not len(difference)
    assert not book.classes.fresh()
    assert set(held.rest()) <= {sets.PICKS}


@settings(max_examples=50)
@given(batches, st.lists(any_frontends(), min_size=1, max_size=3))
def test_what_the_kernel_refused_leaves_no_trace(changes: list[list[tuple[Frontends, bool]]], refused: list[Frontends]) -> None:
    world = World()
    for batch in changes:
        world.apply({port.name: None if gone else port for port, gone in batch})
    before = world.lowered()
    world.book.delta(world.book.lower(world.allowed({port.name: port for port in refused}), SETTINGS))
    world.book.rollback()
    assert world.lowered() == before
    world.apply({})
    assert world.kernel.elements == before


def test_nothing_follows_from_no_change() -> None:
    world = World()
    port = frontends(cluster=("10.244.0.1:80",), node_port=30080, affinity_s=60)
    world.apply({port.name: port})
    assert len(world.book.delta(world.book.lower({port.name: port}, SETTINGS))) == 0
    elements = world.lowered()
    assert len(delta(elements, elements)) == 0


def test_one_endpoint_more_is_one_element_more_and_another_class() -> None:
    world = World()
    port = frontends(cluster=("10.244.0.1:80", "10.244.0.2:80"))
    world.apply({port.name: port})
    more = frontends(cluster=("10.244.0.1:80", "10.244.0.2:80", "10.244.0.3:80"))
    planned = world.book.delta(world.book.lower({port.name: more}, SETTINGS))
    assert {name: len(elements) for name, elements in planned.added.items()} == {sets.SERVICES: 1, sets.ENDPOINTS: 1}
    assert {name: len(elements) for name, elements in planned.deleted.items()} == {sets.SERVICES: 1}


def test_a_cluster_ip_stays_while_another_port_of_the_service_has_it() -> None:
    world = World()
    http, https = frontends(), frontends(port_name="https", port=443)
    world.apply({http.name: http, https.name: https})
    world.apply({http.name: None})
    assert set(world.kernel.elements[address_sets.CLUSTER_IPS]) == {ip("10.96.0.10")}
    world.apply({https.name: None})
    assert address_sets.CLUSTER_IPS not in world.kernel.elements


def test_the_same_number_in_another_protocol_is_another_port() -> None:
    world = World()
    tcp = frontends("dns", port=53, node_port=30053)
    udp = frontends("dns", port=53, node_port=30053, port_name="udp", protocol=Protocol.UDP)
    world.apply({tcp.name: tcp, udp.name: udp})
    assert len(world.kernel.elements[address_sets.NO_ENDPOINTS]) == 2


def test_an_address_can_move_within_one_transaction() -> None:
    world = World()
    vip = (ip("192.0.2.1"),)
    world.apply({port_name("a"): frontends("a", "10.96.0.1", load_balancer_ips=vip)})
    world.apply(
        {
            port_name("b"): frontends("b", "10.96.0.2", load_balancer_ips=vip),
            port_name("a"): frontends("a", "10.96.0.1"),
        }
    )
    assert list(world.kernel.elements[address_sets.NO_ENDPOINTS]) == [
        address + protocol_and_port(Protocol.TCP, 80) for address in (ip("10.96.0.1"), ip("10.96.0.2"), *vip)
    ]


def test_a_lowered_affinity_timeout_gets_another_id_and_a_raised_one_keeps_it() -> None:
    world = World()
    endpoints = ("10.244.0.1:80",)
    ids = []
    for affinity_s in (10800, 60, 600, 600, 59):
        world.apply({port_name(): frontends(cluster=endpoints, affinity_s=affinity_s)})
        ids.append(world.book.records[port_name()].identity)
    assert ids == [1, 2, 2, 2, 3]


@pytest.mark.parametrize(("affinity_s", "kept"), [(10800, True), (10801, True), (10799, False)])
@pytest.mark.parametrize("node_port", [0, 30080])
@pytest.mark.parametrize("internal", Policy)
def test_after_a_restart_a_lowered_affinity_timeout_gets_another_id(affinity_s: int, kept: bool, node_port: int, internal: Policy) -> None:
    world = World()
    port = frontends(cluster=("10.244.0.1:80",), local=("10.244.0.1:80",), affinity_s=10800, node_port=node_port, internal_policy=internal)
    world.apply({port.name: port})
    held = world.kernel.held()
    book = TableState(Family.IPV4, lambda: 0.0)
    adoption = NumberRecovery(book, None, held, set())
    known = adoption.known(replace(port, affinity_s=affinity_s))
    assert (known is not None) == kept


def test_affinity_switched_off_and_on_gets_another_id() -> None:
    world = World()
    name = port_name()
    endpoints = ("10.244.0.1:80",)
    ids = []
    for affinity_s in (60, 0, 60):
        world.apply({name: frontends(cluster=endpoints, affinity_s=affinity_s)})
        ids.append(world.book.records[name].identity)
    assert ids[0] != ids[1] == ids[2]


def test_endpoints_are_not_copied() -> None:
    world = World()
    port = frontends(cluster=tuple(ENDPOINTS))
    world.apply({port.name: port})
    assert world.book.records[port.name].frontends.cluster is port.cluster
    assert backends(*ENDPOINTS) == port.cluster
