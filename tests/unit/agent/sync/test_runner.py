from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.at_once import finished, inline
from tests.unit.agent.dataplane.fakedataplane import FakeDataplane
from tests.unit.agent.examples import NODE, draining, ip, piece, ready, service

from proxyconfig_agent.dataplane.port import Change, ConflictError, Outcome, Settings
from proxyconfig_agent.ingest.model import Family, Network, Protocol, ServiceName, ServicePort
from proxyconfig_agent.select.frontends import Frontends
from proxyconfig_agent.state.batch import everything
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.programmed import Programmed
from proxyconfig_agent.state.settlement import PORTION
from proxyconfig_agent.sync.result import SyncReason, SyncResult
from proxyconfig_agent.sync.runner import MANY, Runner
from proxyconfig_agent.sync.schedule import SyncIntervals
from proxyconfig_agent.sync.worker import Offload
from proxyconfig_client.process.backoff import Backoff
from proxyconfig_client.process.clock import Clock
from proxyconfig_client.watch.objects import Key

T = TypeVar("T")


class Rig:
    """A runner with a clock that the test moves."""

    def __init__(self, dataplane: FakeDataplane | None = None, intervals: SyncIntervals | None = None, offload: Offload = inline) -> None:
        self.now = 1000.0
        self.cluster = ClusterState(NODE, started_at=self.now)
        self.dataplane = dataplane or FakeDataplane()
        self.told: list[SyncResult] = []
        self.programmed = Programmed()
        clock, backoff = Clock(lambda: self.now, lambda: self.now), Backoff(1, 8, chance=lambda: 1.0)
        self.runner = Runner(
            self.cluster,
            self.programmed,
            self.dataplane,
            Settings(),
            self.told.append,
            intervals=intervals or SyncIntervals(),
            clock=clock,
            backoff=backoff,
            offload=offload,
        )

    def step(self) -> float:
        return finished(self.runner.step())

    def advance(self, seconds: float) -> None:
        """Let time go by; the runner does what becomes due."""
        until = self.now + seconds
        while (due := self.step()) <= until:
            self.now = max(self.now, due) + 1e-6
        self.now = until

    def reasons(self) -> list[SyncReason]:
        return [sync.reason for sync in self.told]


def test_the_first_sync_is_a_full_one_with_the_needed_services_first() -> None:
    rig = Rig()
    for name in ("a", "b"):
        rig.cluster.put_service(service(name, f"10.96.0.{ord(name)}"))
    for needed in (ServiceName("kube-system", "kube-dns"), ServiceName("default", "kubernetes")):
        rig.cluster.put_service(replace(service(cluster_ip=f"10.96.1.{len(needed.name)}"), name=needed))
    rig.step()
    assert [name.service.name for name in rig.dataplane.order] == ["kubernetes", "kube-dns", "a", "b"]
    assert rig.reasons() == [SyncReason.START]


def test_a_change_is_committed_at_once_and_alone() -> None:
    rig = Rig()
    rig.cluster.put_service(service())
    rig.cluster.put_service(service("other", "10.96.0.11"))
    rig.advance(1)
    rig.cluster.put_slice(piece(("10.0.0.1", ready())))
    rig.step()
    assert rig.dataplane.calls == ["resync", "apply"]
    assert rig.told[-1].operations == 1
    assert rig.told[-1].endpoints == 1


def test_nothing_is_sent_for_an_update_that_changes_nothing() -> None:
    rig = Rig()
    rig.cluster.put_service(service())
    rig.cluster.put_slice(piece(("10.0.0.1", ready())))
    rig.advance(1)
    assert not rig.cluster.put_service(service())
    assert not rig.cluster.put_slice(piece(("10.0.0.1", ready()), triggered_at=5))
    assert not rig.cluster.drop_slice(Key("shop", "unknown"))
    rig.advance(1)
    assert rig.dataplane.calls == ["resync"]


def test_endpoints_of_unknown_services_wait_for_their_service() -> None:
    rig = Rig()
    rig.advance(1)
    rig.cluster.put_slice(piece(("10.0.0.1", ready())))
    rig.advance(1)
    assert not rig.cluster.pending
    rig.cluster.put_service(service())
    rig.advance(1)
    assert rig.told[-1].endpoints == 1


def test_under_load_changes_are_gathered() -> None:
    dataplane = FakeDataplane()
    rig = Rig(dataplane)
    rig.cluster.put_service(service())
    rig.advance(1)
    apply = dataplane.apply

    def slow_apply(changes: Iterable[Change]) -> Outcome:
        rig.now += 0.1
        return apply(changes)

    dataplane.apply = slow_apply  # type: ignore[method-assign]
    for number in range(100):
        rig.cluster.put_slice(piece((f"10.0.0.{number + 1}", ready())))
        rig.advance(0.01)
    rig.advance(1)
    assert 2 <= dataplane.calls.count("apply") <= 8
    assert rig.told[-1].endpoints == 1


def test_the_wanted_minimum_between_syncs_is_kept() -> None:
    rig = Rig(intervals=SyncIntervals(min_s=5))
    rig.cluster.put_service(service())
    rig.advance(1)
    rig.cluster.put_slice(piece(("10.0.0.1", ready())))
    rig.advance(3)
    assert rig.dataplane.calls == ["resync"]
    rig.advance(3)
    assert rig.dataplane.calls == ["resync", "apply"]


def test_everything_is_synced_again_each_period() -> None:
    rig = Rig(intervals=SyncIntervals(full_s=60))
    rig.advance(200)
    assert rig.reasons() == [SyncReason.START, SyncReason.PERIOD, SyncReason.PERIOD, SyncReason.PERIOD]


def test_what_somebody_else_changed_is_repaired_and_told() -> None:
    rig = Rig()
    rig.cluster.put_service(service())
    rig.advance(10)
    before = dict(rig.dataplane.state)
    rig.dataplane.tamper()
    rig.advance(2)
    assert rig.reasons() == [SyncReason.START, SyncReason.DRIFT]
    assert rig.told[-1].repaired == "1 kernel objects"
    assert rig.dataplane.state == before


def test_a_change_that_meets_what_somebody_else_did_makes_a_repair_of_it() -> None:
    rig = Rig(intervals=SyncIntervals(poll_s=0))
    rig.cluster.put_service(service())
    rig.advance(1)
    rig.dataplane.tamper()
    apply = rig.dataplane.apply

    def refused(changes: Iterable[Change]) -> Outcome:
        rig.dataplane.apply = apply  # type: ignore[method-assign]
        raise ConflictError(f"{len(list(changes))} changes of what is gone")

    rig.dataplane.apply = refused  # type: ignore[method-assign]
    rig.cluster.put_slice(piece(("10.0.0.1", ready())))
    rig.advance(5)
    assert rig.reasons() == [SyncReason.START, SyncReason.CHANGE, SyncReason.RETRY]
    assert rig.told[-1].repaired == "1 kernel objects"


def test_someone_who_disturbs_all_the_time_does_not_make_us_work_all_the_time() -> None:
    rig = Rig()
    rig.advance(1)
    resync = rig.dataplane.resync

    def slow(settings: Settings, wanted: Iterable[Frontends]) -> Outcome:
        rig.now += 0.5
        outcome = resync(settings, wanted)
        rig.dataplane.touched = True
        return outcome

    rig.dataplane.resync = slow  # type: ignore[method-assign]
    rig.dataplane.touched = True
    rig.advance(100)
    assert rig.dataplane.calls.count("resync") <= 12


def test_a_table_that_is_deleted_right_after_a_sync_is_repaired_at_once() -> None:
    rig = Rig()
    rig.cluster.put_service(service())
    rig.step()
    rig.dataplane.tamper()
    rig.advance(1.1)
    assert len(rig.dataplane.state) == 1


def test_new_settings_are_applied_to_everything() -> None:
    rig = Rig()
    rig.advance(1)
    assert rig.runner.configure(Settings(masquerade_all=True), SyncIntervals())
    rig.advance(0.1)
    assert rig.dataplane.settings.masquerade_all
    assert rig.reasons() == [SyncReason.START, SyncReason.SETTINGS]
    assert not rig.runner.configure(Settings(masquerade_all=True), SyncIntervals(min_s=1))


def test_a_failure_is_retried_as_a_whole_with_growing_pauses() -> None:
    rig = Rig()
    rig.cluster.put_service(service())
    rig.advance(1)
    rig.dataplane.failure = 1.0
    rig.cluster.put_slice(piece(("10.0.0.1", ready())))
    rig.advance(10)
    assert [sync.error != "" for sync in rig.told] == [False, True, True, True, True]
    rig.dataplane.failure = 0.0
    rig.advance(10)
    assert rig.told[-1].reason is SyncReason.RETRY
    assert rig.told[-1].error == ""
    assert rig.told[-1].endpoints == 1
    assert rig.told[-1].repaired == "", "nobody else was there"


def test_a_service_that_cannot_be_programmed_is_set_aside_alone_and_comes_back_when_it_can() -> None:
    rig = Rig()
    rig.dataplane.refuses = {ServiceName("shop", "second")}
    for number, name in enumerate(("first", "second", "third")):
        rig.cluster.put_service(service(name, f"10.96.0.{number}"))
    rig.advance(1)
    assert [str(refusal.service) for refusal in rig.told[-1].refused] == ["shop/second"]
    assert {name.service.name for name, _ in rig.dataplane.state} == {"first", "third"}
    rig.dataplane.refuses.clear()
    rig.cluster.drop_service(ServiceName("shop", "first"))
    rig.advance(1)
    assert rig.told[-1].refused == ()
    assert {name.service.name for name, _ in rig.dataplane.state} == {"second", "third"}


def test_of_an_address_that_two_services_claim_only_that_is_refused_and_it_moves_when_it_is_free() -> None:
    rig = Rig()
    vip = (ip("192.0.2.1"),)
    rig.cluster.put_service(service("young", "10.96.0.2", external_ips=(*vip, ip("192.0.2.2")), created="2026-02-01T00:00:00Z"))
    rig.advance(1)
    rig.cluster.put_service(service("old", "10.96.0.1", external_ips=vip, created="2026-01-01T00:00:00Z"))
    rig.advance(1)
    served = {name.service.name: one.external_ips for (name, _), one in rig.dataplane.state.items()}
    assert served == {"old": vip, "young": (ip("192.0.2.2"),)}
    (refusal,) = rig.told[-1].refused
    assert refusal.reason.startswith(
        "spec.externalIPs: 192.0.2.1 port 80/TCP of port shop/young:http belongs to shop/old:http, which is older"
    )
    rig.cluster.drop_service(ServiceName("shop", "old"))
    rig.advance(1)
    assert {one.external_ips for one in rig.dataplane.state.values()} == {(*vip, ip("192.0.2.2"))}
    assert rig.told[-1].refused == ()


def test_parts_of_a_service_that_cannot_be_read_are_named_until_they_are_gone() -> None:
    rig = Rig()
    rig.cluster.put_service(service(rejected=("spec.externalIPs: 'x' is not an IP address",)))
    rig.advance(1)
    assert [str(refusal.service) for refusal in rig.told[-1].refused] == ["shop/web"]
    rig.cluster.put_service(service())
    rig.advance(1)
    assert rig.told[-1].refused == ()


def test_a_service_that_cannot_be_decoded_stays_as_it_was_and_is_named() -> None:
    rig = Rig()
    rig.cluster.put_service(service())
    rig.advance(1)
    rig.cluster.set_aside(ServiceName("shop", "web"), "cannot be decoded")
    rig.advance(1)
    assert [refusal.reason for refusal in rig.told[-1].refused] == ["cannot be decoded"]
    assert len(rig.dataplane.state) == 1
    rig.cluster.put_service(service())
    rig.advance(1)
    assert rig.told[-1].refused == ()


def test_the_delay_of_an_endpoint_change_is_measured_from_its_trigger() -> None:
    rig = Rig()
    rig.cluster.put_service(service())
    rig.cluster.put_slice(piece(("10.0.0.1", ready()), triggered_at=900))
    rig.advance(1)
    rig.cluster.put_slice(piece(("10.0.0.2", ready()), triggered_at=rig.now - 0.25))
    rig.step()
    assert rig.told[0].delays_s == ()
    assert rig.told[-1].delays_s == ((Family.IPV4, 0.25),)


def test_a_slice_that_moves_to_another_service_leaves_the_first() -> None:
    rig = Rig()
    rig.cluster.put_service(service("web"))
    rig.cluster.put_service(service("api", "10.96.0.11"))
    rig.cluster.put_slice(piece(("10.0.0.1", ready()), of="web", name="s"))
    rig.advance(1)
    rig.cluster.put_slice(piece(("10.0.0.1", ready()), of="api", name="s"))
    rig.advance(1)
    assert {name.service.name: one.reachable for (name, _), one in rig.dataplane.state.items()} == {"web": False, "api": True}


def test_a_new_zone_makes_every_service_be_looked_at_again() -> None:
    rig = Rig()
    near, far = ready(zone_hints=frozenset("a")), ready(zone_hints=frozenset("b"))
    rig.cluster.put_service(service())
    rig.cluster.put_slice(piece(("10.0.0.1", near), ("10.0.0.2", far)))
    rig.advance(1)
    assert next(iter(rig.dataplane.state.values())).cluster[:4] == ip("10.0.0.1")
    rig.cluster.put_node(replace(NODE, zone="b"))
    rig.advance(1)
    assert next(iter(rig.dataplane.state.values())).cluster[:4] == ip("10.0.0.2")


def test_new_pod_networks_of_the_node_make_every_service_be_looked_at_again() -> None:
    rig = Rig()
    rig.cluster.put_service(service())
    rig.cluster.put_slice(piece(("10.1.0.1", ready("virtual-node-7"))))
    rig.advance(1)
    assert next(iter(rig.dataplane.state.values())).on_node == ()
    rig.cluster.put_node(replace(NODE, pod_cidrs=(Network(ip("10.1.0.0"), 24),)))
    rig.advance(1)
    assert next(iter(rig.dataplane.state.values())).on_node == (ip("10.1.0.1"),)


_names = st.sampled_from("abcd")
_events = st.one_of(
    st.tuples(st.just("service"), _names, st.integers(1, 5)),
    st.tuples(st.just("node-port"), _names, st.integers(30000, 30002)),
    st.tuples(st.just("gone"), _names, st.just(0)),
    st.tuples(st.just("slice"), _names, st.integers(1, 3)),
    st.tuples(st.just("draining"), _names, st.integers(1, 3)),
    st.tuples(st.just("slice-gone"), _names, st.just(0)),
    st.tuples(st.just("tamper"), st.just(""), st.just(0)),
    st.tuples(st.just("time"), st.just(""), st.integers(0, 3)),
)


def _happen(rig: Rig, event: tuple[str, str, int]) -> None:
    kind, name, number = event
    match kind:
        case "service":
            rig.cluster.put_service(service(name, f"10.96.{ord(name)}.{number}"))
        case "node-port":
            ports = (ServicePort("http", Protocol.TCP, 80, number),)
            rig.cluster.put_service(service(name, f"10.96.{ord(name)}.1", ports=ports, externally_accessible=True))
        case "gone":
            rig.cluster.drop_service(ServiceName("shop", name))
        case "slice" | "draining":
            traits = ready() if kind == "slice" else draining()
            rig.cluster.put_slice(piece((f"10.0.0.{number}", traits), of=name, name=f"{name}-1"))
        case "slice-gone":
            rig.cluster.drop_slice(Key("shop", f"{name}-1"))
        case "tamper":
            rig.dataplane.tamper()
        case "time":
            rig.advance(number)


@given(events=st.lists(_events, max_size=30), seed=st.integers(0, 1000), failure=st.sampled_from([0.0, 0.1, 0.5]))
@settings(max_examples=150)
def test_whatever_happened_the_kernel_ends_up_as_if_only_the_last_state_had_been(
    events: list[tuple[str, str, int]], seed: int, failure: float
) -> None:
    rig = Rig(FakeDataplane(failure, seed))
    for event in events:
        _happen(rig, event)
    rig.dataplane.failure = 0.0
    rig.runner.resync(SyncReason.RETRY)
    rig.advance(60)
    fresh = FakeDataplane()
    fresh.resync(Settings(), everything(rig.cluster.view(), Programmed()).ports())
    assert rig.dataplane.state == fresh.state
    assert not rig.cluster.pending
    assert rig.told[-1].endpoints == sum(len(one.cluster) // 6 for one in fresh.state.values())


@pytest.mark.parametrize("intervals", [SyncIntervals(poll_s=0), SyncIntervals(full_s=0), SyncIntervals()])
def test_an_idle_runner_sleeps(intervals: SyncIntervals) -> None:
    rig = Rig(intervals=intervals)
    rig.advance(5)
    rig.told.clear()
    steps = 0
    until = rig.now + 100
    while (due := rig.step()) <= until:
        rig.now = due
        steps += 1
    assert steps <= 101
    assert rig.told == []


def test_an_unexpected_error_is_a_failed_sync_and_no_end_of_the_agent() -> None:
    rig = Rig()
    rig.cluster.put_service(service())
    rig.advance(1)
    apply = rig.dataplane.apply

    def broken(changes: Iterable[Change]) -> Outcome:
        rig.dataplane.apply = apply  # type: ignore[method-assign]
        raise KeyError(len(list(changes)))

    rig.dataplane.apply = broken  # type: ignore[method-assign]
    rig.cluster.put_slice(piece(("10.0.0.1", ready())))
    rig.advance(5)
    assert [(sync.reason, bool(sync.error)) for sync in rig.told[1:]] == [(SyncReason.CHANGE, True), (SyncReason.RETRY, False)]
    assert rig.told[-1].endpoints == 1


async def test_the_event_loop_goes_on_while_the_result_of_a_large_sync_is_taken_over() -> None:
    """However many Services there are, the part that is done between two turns of the event loop has a bound."""
    rig = Rig()
    for number in range(3 * PORTION):
        rig.cluster.put_service(service(f"s{number}", f"10.{96 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}"))
    counts, done = list[int](), asyncio.Event()

    async def watch() -> None:
        while not done.is_set():
            counts.append(rig.programmed.ports)
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    await rig.runner.step()
    done.set()
    await watching
    steps = [after - before for before, after in itertools.pairwise([*counts, rig.programmed.ports])]
    assert rig.programmed.ports == 3 * PORTION
    assert max(steps) <= PORTION


@pytest.mark.parametrize(("services", "endpoints"), [(MANY + 1, 0), (1, MANY), (10, MANY // 10)])
async def test_much_is_selected_outside_of_the_event_loop(services: int, endpoints: int) -> None:
    """However it is spread over Services and endpoints."""
    offloaded = list[object]()

    async def offload(work: Callable[[], T]) -> T:
        offloaded.append(work)
        return work()

    rig = Rig(offload=offload)
    await rig.runner.step()
    offloaded.clear()
    for number in range(services):
        name = f"s{number}"
        rig.cluster.put_service(service(name, f"10.96.{number // 250}.{number % 250 + 1}"))
        addresses = ((f"10.{number}.{each // 250}.{each % 250}", ready()) for each in range(endpoints))
        rig.cluster.put_slice(piece(*addresses, of=name, name=f"{name}-1"))
    await rig.runner.step()
    assert len(offloaded) == 1
    assert rig.told[-1].endpoints == services * endpoints
