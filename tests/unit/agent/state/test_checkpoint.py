"""The file of what was last known: what is saved is loaded, and a file that cannot be used is as good as none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import virtualtime
from tests.support.systemcalls import transfers

from proxyconfig_agent.ingest.model import (
    Address,
    EndpointSlice,
    Family,
    Network,
    Node,
    NodeName,
    Policy,
    Protocol,
    Service,
    ServiceName,
    ServicePort,
    SlicePort,
    Traits,
)
from proxyconfig_agent.state.checkpoint import FORMAT, CheckpointFile, Header, order_of
from proxyconfig_agent.state.checkpoint_loader import SAVE_EVERY_S, Checkpointer
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_api.spec.sections import Mode, ProxyConfigSpec
from proxyconfig_client.process.clock import Clock

NODE = Node(NodeName("n1"), "zone-a", (Address(b"\x0a\0\0\1"),), (Network(Address(b"\x0a\1\0\0"), 16),))
CIDRS = (Network(Address(b"\x0a\x60\0\0"), 16),)
ORDER = order_of(ProxyConfigSpec(mode=Mode.NFTABLES), 3, "default-1", "uid-1")


def service(number: int) -> Service:
    return Service(
        name=ServiceName("shop", f"web-{number}"),
        uid=f"uid-{number}",
        ports=(ServicePort("http", Protocol.TCP, 80, 30080), ServicePort("dns", Protocol.UDP, 53)),
        cluster_ips=(Address(bytes((10, 96, 0, number))),),
        source_ranges=(Network(Address(bytes(16)), 64),),
        external_policy=Policy.LOCAL,
        rejected=("spec.externalIPs: x",),
    )


def piece(number: int, *zones: str) -> EndpointSlice:
    traits = Traits(ready=False, node=NodeName("n2"), zone_hints=frozenset(zones))
    ports = (SlicePort("http", Protocol.TCP, 8080),)
    return EndpointSlice(
        f"web-{number}-a", ServiceName("shop", f"web-{number}"), Family.IPV4, ports, b"\x0a\1\0\1\x0a\1\0\2", (traits, traits)
    )


def save(memory: CheckpointFile, services: list[Service], slices: list[EndpointSlice]) -> None:
    memory.save(Header(FORMAT, 17.5, ORDER, NODE, CIDRS, len(services), len(slices)), services, slices)


@given(st.integers(0, 20), st.lists(st.sampled_from(("a", "b", "c")), max_size=3))
def test_what_is_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, count: int, zones: list[str]) -> None:
    memory = CheckpointFile(tmp_path_factory.mktemp("state"), "n1")
    services, slices = [service(number) for number in range(count)], [piece(number, *zones) for number in range(count)]

    save(memory, services, slices)
    loaded = memory.load()

    assert loaded is not None
    assert (list(loaded.services), list(loaded.slices)) == (services, slices)
    assert (loaded.heading.node, loaded.heading.service_cidrs, loaded.heading.saved_at) == (NODE, CIDRS, 17.5)
    assert loaded.heading.order.parsed() == ProxyConfigSpec(mode=Mode.NFTABLES)


def test_equal_traits_of_endpoints_are_one_object(tmp_path: Path) -> None:
    memory = CheckpointFile(tmp_path, "n1")
    save(memory, [], [piece(1, "a"), piece(2, "a")])

    loaded = memory.load()

    assert loaded is not None
    assert len({id(traits) for each in loaded.slices for traits in each.traits}) == 1


def test_a_node_that_never_saved_has_nothing(tmp_path: Path) -> None:
    assert CheckpointFile(tmp_path / "absent", "n1").load() is None


@pytest.mark.parametrize("damage", [lambda whole: whole[:-5], lambda _: b"", lambda whole: b"\0\0\0\1" + whole, lambda _: b"\xff" * 99])
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    memory = CheckpointFile(tmp_path, "n1")
    save(memory, [service(1)], [piece(1)])
    memory.path.write_bytes(damage(memory.path.read_bytes()))

    assert memory.load() is None


def test_a_file_of_another_format_is_as_good_as_none(tmp_path: Path) -> None:
    memory = CheckpointFile(tmp_path, "n1")
    memory.save(Header(FORMAT + 1, 17.5, ORDER, NODE, CIDRS, 0, 0), [], [])

    assert memory.load() is None


def test_a_folder_that_cannot_be_written_harms_nothing_and_keeps_the_last_file(tmp_path: Path) -> None:
    memory = CheckpointFile(tmp_path, "n1")
    save(memory, [service(1)], [])
    memory.path.with_suffix(".tmp").mkdir()

    save(memory, [service(1), service(2)], [])

    loaded = memory.load()
    assert loaded is not None
    assert loaded.services == (service(1),)


def test_a_large_file_takes_a_handful_of_system_calls(tmp_path: Path) -> None:
    """Each is a moment in which the event loop wakes in vain (ADR 8)."""
    memory, services = CheckpointFile(tmp_path, "n1"), [service(number % 250) for number in range(10_000)]
    before = transfers()
    save(memory, services, [])
    assert transfers() - before <= 8 * (1 + (memory.path.stat().st_size >> 20))
    before = transfers()
    assert memory.load() is not None
    assert transfers() - before <= 8 * (1 + (memory.path.stat().st_size >> 20))


def test_only_what_was_noted_since_the_last_save_is_saved(tmp_path: Path) -> None:
    cluster, memory = ClusterState(NODE), CheckpointFile(tmp_path, "n1")
    cluster.put_service(service(1))
    recall = Checkpointer(memory, cluster, clock=lambda: 99.0)

    recall.save()
    assert memory.load() is None
    recall.note(ORDER, CIDRS)
    recall.save()
    loaded = memory.load()
    assert loaded is not None
    assert (loaded.services, loaded.heading.saved_at) == ((service(1),), 99.0)
    memory.path.unlink()
    recall.save()
    assert memory.load() is None


def test_a_discarded_checkpoint_is_deleted_and_stays_away_until_something_is_noted(tmp_path: Path) -> None:
    cluster, memory = ClusterState(NODE), CheckpointFile(tmp_path, "n1")
    checkpointer = Checkpointer(memory, cluster)
    checkpointer.note(ORDER, CIDRS)
    checkpointer.save()
    checkpointer.note(ORDER, CIDRS)

    checkpointer.discard()
    checkpointer.save()

    assert memory.load() is None
    checkpointer.note(ORDER, CIDRS)
    checkpointer.save()
    assert memory.load() is not None


def test_a_file_that_cannot_be_deleted_harms_nothing(tmp_path: Path) -> None:
    memory = CheckpointFile(tmp_path, "n1")
    memory.path.mkdir()
    memory.delete()


class Watched(CheckpointFile):
    """Remembers which threads have written."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "n1")
        self.writers: list[int] = []

    def save(self, heading: Header, services: Iterable[Service], slices: Iterable[EndpointSlice]) -> None:
        self.writers.append(threading.get_ident())
        super().save(heading, services, slices)


def test_a_checkpoint_is_written_seldom_under_churn_and_never_by_the_event_loop(tmp_path: Path) -> None:
    file = Watched(tmp_path)

    async def scenario(_: Clock) -> None:
        checkpointer = Checkpointer(file, ClusterState(NODE))
        task = asyncio.create_task(checkpointer.run())
        for _second in range(3600):
            checkpointer.note(ORDER, CIDRS)
            await asyncio.sleep(1)
        task.cancel()

    virtualtime.run(scenario)
    assert 1 <= len(file.writers) <= 3600 / SAVE_EVERY_S + 1
    assert threading.get_ident() not in file.writers
    assert file.load() is not None


def test_what_is_newer_is_not_replaced_by_what_was_remembered() -> None:
    cluster = ClusterState(NODE)
    cluster.put_service(service(1))
    cluster.put_slice(piece(1, "new"))

    cluster.restore([service(1), service(2)], [piece(1, "old"), piece(2)])

    services, slices = cluster.known()
    assert {each.name.name for each in services} == {"web-1", "web-2"}
    assert piece(1, "new") in slices
    assert piece(1, "old") not in slices
