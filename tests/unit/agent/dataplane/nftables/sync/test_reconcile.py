"""A table in whatever state becomes the desired one, in bounded steps that are each allowed by the kernel."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.agent.dataplane.nftables.frontends import apart, frontends
from tests.unit.agent.dataplane.nftables.kernelmodel import KernelModel
from tests.unit.agent.dataplane.nftables.table.test_state import SETTINGS, any_frontends

from proxyconfig_agent.dataplane.nftables.model import sets
from proxyconfig_agent.dataplane.nftables.model.base_chains import LAST_CHAIN, fixed
from proxyconfig_agent.dataplane.nftables.model.sets import containers
from proxyconfig_agent.dataplane.nftables.sync.reconcile import Chunk, Reconciler
from proxyconfig_agent.dataplane.nftables.table.recovery import NumberRecovery
from proxyconfig_agent.dataplane.nftables.table.state import TableState
from proxyconfig_agent.dataplane.tables.delta import Delta, delta
from proxyconfig_agent.dataplane.tables.kernel.actual import ActualTable, HeldChain, HeldContainer
from proxyconfig_agent.dataplane.tables.model import address_sets
from proxyconfig_agent.ingest.model import Family, ServiceName
from proxyconfig_agent.netlink.nftables import userdata
from proxyconfig_agent.netlink.nftables.messages import Kind
from proxyconfig_agent.select.frontends import Frontends

FEW = 4
"""Elements of a transaction, so that there are many."""


def held_structure() -> ActualTable:
    """Chains and sets as they should be."""
    wanted = fixed(SETTINGS, Family.IPV4)
    chains = {
        name: HeldChain(chain.hook, True, [(rule.expressions, userdata.comment(rule.comment)) for rule in chain.rules])
        for name, chain in wanted.chains.items()
    }
    shapes = {
        name: HeldContainer(container.key_length, container.value[1] if container.value else 0, container.flags)
        for name, container in containers(Family.IPV4).items()
    }
    return ActualTable(True, shapes, chains)


def resynced(kernel: KernelModel, held: ActualTable | None, wanted: list[Frontends], before: TableState | None = None) -> Reconciler:
    """Resync, and commit every chunk to the model."""
    book, elements = TableState(Family.IPV4, lambda: 0.0), kernel.held()
    resync = Reconciler(book, SETTINGS, held, elements, NumberRecovery(book, before, elements, set()), chunk=FEW)
    for port in wanted:
        resync.add(port)
        if resync.full:
            commit(kernel, resync, resync.take())
    for chunk in resync.finish():
        commit(kernel, resync, chunk)
    return resync


def commit(kernel: KernelModel, resync: Reconciler, chunk: Chunk) -> None:
    # One transaction: what one part deletes, another may add.
    for each in (chunk.elements, *(part.delta for part in chunk.parts)):
        kernel.commit(Delta(deleted=each.deleted))
    for each in (chunk.elements, *(part.delta for part in chunk.parts)):
        kernel.commit(Delta(added=each.added))
    resync.book.keep()


def without_numbers(kernel: KernelModel) -> dict[str, int]:
    """How many elements each set has; numbers may differ between two tables for the same Services."""
    return {name: len(elements) for name, elements in kernel.elements.items() if name not in (sets.CLASSES, sets.PICKS)}


@st.composite
def damaged(draw: st.DrawFn, kernel: KernelModel) -> KernelModel:
    """Elements taken out, elements of others in, values exchanged."""
    broken = KernelModel()
    broken.elements = {name: dict(elements) for name, elements in kernel.elements.items()}
    for name, elements in broken.elements.items():
        keys = sorted(elements)
        for key in draw(st.lists(st.sampled_from(keys), unique=True, max_size=3)):
            if draw(st.booleans()) or name == address_sets.SOURCE_RANGES:
                del elements[key]
            else:
                elements[key] = elements[draw(st.sampled_from(sorted(elements)))]
    return broken


@settings(max_examples=60)
@given(st.data(), st.lists(any_frontends(), max_size=6), st.lists(any_frontends(), max_size=6), st.booleans())
def test_any_damage_is_repaired(data: st.DataObject, before: list[Frontends], after: list[Frontends], restarted: bool) -> None:
    kernel = KernelModel()
    first = resynced(kernel, None, unique(before))
    broken = data.draw(damaged(kernel))
    resynced(broken, held_structure(), unique(after), None if restarted else first.book)
    fresh = KernelModel()
    resynced(fresh, None, unique(after))
    assert without_numbers(broken) == without_numbers(fresh)
    again = list(broken.elements.items())
    resynced(broken, held_structure(), unique(after))
    assert list(broken.elements.items()) == again


@settings(max_examples=40)
@given(st.lists(any_frontends(), max_size=8), st.integers(0, 8))
def test_a_cold_start_that_stops_anywhere_goes_on_from_there(wanted: list[Frontends], reached: int) -> None:
    ports = unique(wanted)
    kernel = KernelModel()
    book = TableState(Family.IPV4, lambda: 0.0)
    started = Reconciler(book, SETTINGS, None, kernel.held(), NumberRecovery(book, None, kernel.held(), set()), chunk=FEW)
    for port in ports[:reached]:
        started.add(port)
        commit(kernel, started, started.take())
    resynced(kernel, held_structure(), ports)
    whole = KernelModel()
    resynced(whole, None, ports)
    assert without_numbers(kernel) == without_numbers(whole)


def test_what_rejects_the_untranslated_comes_with_the_last_transaction() -> None:
    chunks = list(cold_start([frontends(f"s{number}", f"10.96.0.{number + 1}", ("10.244.0.1:80",)) for number in range(10)]))
    assert len(chunks) > 3
    concerned = [
        any(message.kind is Kind.NEW_RULE and LAST_CHAIN in message.about for message in (*chunk.before, *chunk.behind)) for chunk in chunks
    ]
    assert concerned == [False] * (len(chunks) - 1) + [True]


def test_every_service_is_whole_within_one_transaction() -> None:
    for chunk in cold_start([frontends(f"s{number}", f"10.96.0.{number + 1}", ("10.244.0.1:80", "10.244.0.2:80")) for number in range(10)]):
        for part in chunk.parts:
            assert {name: len(elements) for name, elements in part.delta.added.items()} == {
                address_sets.CLUSTER_IPS: 1,
                sets.SERVICES: 1,
                sets.ENDPOINTS: 2,
            }


def cold_start(ports: list[Frontends]) -> Iterator[Chunk]:
    book, elements = TableState(Family.IPV4, lambda: 0.0), KernelModel().held()
    resync = Reconciler(book, SETTINGS, None, elements, NumberRecovery(book, None, elements, set()), chunk=FEW)
    for port in ports:
        resync.add(port)
        if resync.full:
            yield resync.take()
            book.keep()
    yield from resync.finish()


def test_an_equal_table_needs_nothing() -> None:
    ports = [frontends("a", "10.96.0.1", ("10.244.0.1:80",), affinity_s=60), frontends("b", "10.96.0.2", node_port=30000)]
    kernel = KernelModel()
    resynced(kernel, None, ports)
    elements = {name: dict(mapping) for name, mapping in kernel.elements.items()}
    resynced(kernel, held_structure(), ports)
    assert len(delta(elements, kernel.elements)) == 0


def unique(ports: list[Frontends]) -> list[Frontends]:
    """Each once, and no address twice."""
    return apart({port.name: port for port in ports}.values())


def test_the_ports_of_a_service_come_together_where_others_are_served_already() -> None:
    ports = [
        frontends(f"s{number}", f"10.96.0.{number + 1}", ("10.244.0.1:80",), port_name=name, port=port)
        for number in range(6)
        for name, port in (("http", 80), ("https", 443), ("admin", 8443))
    ]
    book, elements = TableState(Family.IPV4, lambda: 0.0), KernelModel().held()
    resync = Reconciler(book, SETTINGS, held_structure(), elements, NumberRecovery(book, None, elements, set()), chunk=FEW)
    for port in ports:
        resync.add(port)
    chunks = [{part.frontends.name.service for part in chunk.parts} for chunk in resync.finish()]
    assert sum(map(bool, chunks)) > 1
    assert sum(map(len, chunks)) == len(set[ServiceName]().union(*chunks)) == 6
