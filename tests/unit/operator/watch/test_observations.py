"""What changes of objects say about time, by a clock that the test moves."""

from __future__ import annotations

import cProfile

import msgspec
import pytest
from tests.unit.operator.builders import config, labelled, pod, proxy, reported

from proxyconfig_api.objects import heartbeat, names
from proxyconfig_api.objects.assignment import assign
from proxyconfig_api.objects.nodeproxy import NextOrder, NodeProxy
from proxyconfig_client.watch.objects import Key, Metadata
from proxyconfig_operator.model.waits import APPLY_S
from proxyconfig_operator.watch.caches import Caches
from proxyconfig_operator.watch.heartbeats import Heartbeat
from proxyconfig_operator.watch.observations import Observations

GRACE_S = 120.0


class Clock:
    s = 1000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def observations(clock: Clock) -> Observations:
    return Observations(GRACE_S, clock)


@pytest.fixture
def woken() -> list[str]:
    return []


@pytest.fixture
def caches(observations: Observations, woken: list[str]) -> Caches:
    made = Caches(woken.append, observations)
    made.configs.on_upsert(config("x"))
    made.nodes.on_upsert(labelled("n1", "x"))
    made.proxies.on_upsert(proxy("n1", **reported("x-1")))
    made.assignment()  # as every pass does, and all have been woken for one
    woken.clear()
    return made


def beat(version: str, lease: str = heartbeat.lease_of("n1")) -> Heartbeat:
    return Heartbeat(Metadata(lease, names.NAMESPACE, version))


def test_an_agent_is_heard_for_the_grace_after_its_lease_has_changed(caches: Caches, observations: Observations, clock: Clock) -> None:
    caches.heartbeats.on_upsert(beat("1"))
    clock.s += GRACE_S - 1
    assert set(observations.waits().heard) == {"n1"}
    clock.s += 1
    assert set(observations.waits().heard) == set()


def test_a_lease_that_is_listed_again_as_it_was_is_no_sign_of_life(caches: Caches, observations: Observations, clock: Clock) -> None:
    caches.heartbeats.on_upsert(beat("1"))
    clock.s += GRACE_S
    caches.heartbeats.on_upsert(beat("1"))

    assert set(observations.waits().heard) == set()


def test_renewals_wake_nobody_but_after_a_silence(caches: Caches, clock: Clock, woken: list[str]) -> None:
    caches.heartbeats.on_upsert(beat("1"))
    woken.clear()
    for version in range(2, 100):
        clock.s += 30
        caches.heartbeats.on_upsert(beat(str(version)))
    assert woken == []

    clock.s += GRACE_S
    caches.heartbeats.on_upsert(beat("100"))

    assert woken == ["x"]


def test_a_lease_that_is_deleted_is_forgotten_and_one_of_another_name_is_nobodys(caches: Caches, observations: Observations) -> None:
    caches.heartbeats.on_upsert(beat("1"))
    caches.heartbeats.on_upsert(beat("1", lease="somebody-elses"))
    caches.heartbeats.on_delete(Key(names.NAMESPACE, heartbeat.lease_of("n1")))

    assert list(caches.heartbeats.keys()) == [Key(names.NAMESPACE, "somebody-elses")]
    assert set(observations.waits().heard) == {"n1"}


def test_a_report_is_a_sign_of_life_and_what_the_operator_writes_is_none(observations: Observations) -> None:
    before = proxy("n1", **reported("x-1"))
    observations.proxy_changed(None, before)
    observations.proxy_changed(before, proxy("n1", revision="x-2", generation=2, **reported("x-1")))
    assert set(observations.waits().heard) == set()

    observations.proxy_changed(before, proxy("n1", **reported("x-1", ready=False)))

    assert set(observations.waits().heard) == {"n1"}


def test_an_agent_that_has_just_started_has_time_to_report_and_none_for_what_its_pod_does_besides(
    observations: Observations, clock: Clock
) -> None:
    running = {"name": names.AGENT, "state": {"running": {}}, "restartCount": 0}
    started = pod("p", "n1", ready=False, containerStatuses=[running])
    observations.pod_changed(None, pod("p", "n1", ready=False, phase="Pending", containerStatuses=None))
    assert set(observations.waits().heard) == set()

    observations.pod_changed(pod("p", "n1", ready=False, containerStatuses=None), started)
    assert set(observations.waits().heard) == {"n1"}

    clock.s += GRACE_S
    observations.pod_changed(started, pod("p", "n1", containerStatuses=[running]))
    assert set(observations.waits().heard) == set()

    observations.pod_changed(started, pod("p", "n1", containerStatuses=[running | {"restartCount": 1}]))
    assert set(observations.waits().heard) == {"n1"}


RUNNING = {"name": names.AGENT, "state": {"running": {}}, "restartCount": 0}


def test_what_an_agent_reported_is_not_taken_for_the_report_of_the_one_that_follows(caches: Caches, observations: Observations) -> None:
    waiting, running = pod("p2", "n1", ready=False, phase="Pending"), pod("p2", "n1", ready=False, containerStatuses=[RUNNING])
    caches.pods.on_upsert(waiting)
    caches.pods.on_upsert(running)
    assert set(observations.waits().starting) == {"n1"}

    caches.heartbeats.on_upsert(beat("1"))

    assert set(observations.waits().starting) == set()


def test_agents_that_an_operator_finds_running_have_reported(caches: Caches, observations: Observations) -> None:
    caches.pods.on_upsert(pod("p1", "n1", containerStatuses=[RUNNING]))

    assert set(observations.waits().starting) == set()


def test_a_node_is_without_an_agent_from_the_end_of_one_pod_until_the_next_is_ready(
    caches: Caches, observations: Observations, clock: Clock
) -> None:
    caches.pods.on_upsert(pod("p1", "n1"))
    clock.s += 7
    assert (observations.waits().agent_ready_s, observations.waits().agent_unready_s) == ({"n1": 7}, {})

    caches.pods.on_upsert(pod("p1", "n1", ending=True))
    caches.pods.on_upsert(pod("p2", "n1", ready=False))
    clock.s += 5
    caches.pods.on_delete(Key("", "p1"))
    assert (observations.waits().agent_ready_s, observations.waits().agent_unready_s) == ({}, {"n1": 5})

    caches.proxies.on_upsert(proxy("n1", pods="another", generation=2, **reported("x-1")))
    assert observations.waits().agent_unready_s == {"n1": 0}, "another order has its own time"

    caches.pods.on_upsert(pod("p2", "n1"))
    assert (observations.waits().agent_ready_s, observations.waits().agent_unready_s) == ({"n1": 0}, {})


def test_a_node_is_late_when_it_has_not_applied_its_revision_in_time(observations: Observations, clock: Clock) -> None:
    behind = proxy("n1", revision="x-2", generation=2, **reported("x-1"))
    observations.proxy_changed(None, behind)
    clock.s += APPLY_S - 1
    assert set(observations.waits().late) == set()
    clock.s += 1
    assert set(observations.waits().late) == {"n1"}

    third = proxy("n1", revision="x-3", generation=3, **reported("x-1"))
    observations.proxy_changed(behind, third)
    assert set(observations.waits().late) == set(), "a newer revision has its own time"

    clock.s += APPLY_S
    done = msgspec.structs.replace(third.status, observed_generation=3, observed_revision="x-3")
    observations.proxy_changed(third, msgspec.structs.replace(third, status=done))
    assert set(observations.waits().late) == set()


def test_a_deletion_counts_from_when_it_was_seen_and_ends_with_the_proxyconfig(observations: Observations, clock: Clock) -> None:
    deleted = config("x", deleted_ago_s=3600)
    observations.config_changed(config("x"), deleted)
    clock.s += 5
    observations.config_changed(deleted, deleted)
    assert observations.waits().deleting_s == {"x": 5}

    observations.config_changed(deleted, None)

    assert observations.waits().deleting_s == {}


def test_labels_and_orders_that_come_in_turns_do_not_assign_all_nodes_anew_each_time(caches: Caches, woken: list[str]) -> None:
    profile = cProfile.Profile()
    with profile:
        for number in range(50):
            caches.nodes.on_upsert(labelled(f"m{number}", "x"))
            caches.proxies.on_upsert(proxy(f"m{number}"))

    assert not any(entry.code is assign.__code__ for entry in profile.getstats()), "that is the work of a pass"
    assert "x" in woken


def test_nothing_is_kept_of_nodes_that_are_gone(caches: Caches, observations: Observations) -> None:
    caches.heartbeats.on_upsert(beat("1"))
    caches.proxies.on_upsert(proxy("n1", action="Remove", **reported("x-1")))
    caches.proxies.on_delete(Key("", "n1"))
    caches.nodes.on_delete(Key("", "n1"))

    waits = observations.waits()

    assert (set(waits.heard), waits.removing_s, set(waits.late)) == (set(), {}, set())


def test_a_change_of_the_pod_and_the_revision_has_one_deadline(caches: Caches, observations: Observations, clock: Clock) -> None:
    following = NextOrder(revision_name="x-2", pod_revision="p2")
    pod_first = ordered(pods="p2", generation=2, following=following)
    caches.proxies.on_upsert(pod_first)
    clock.s += 50
    caches.proxies.on_upsert(ordered(pods="p2", generation=2, following=following, observed=2))
    caches.proxies.on_upsert(ordered("x-2", pods="p2", generation=3, observed=2))
    clock.s += 10
    assert observations.waits().unready_s == {"n1": 60}

    caches.proxies.on_upsert(ordered("x-3", pods="p2", generation=4, observed=2))
    assert observations.waits().unready_s == {"n1": 0}, "another change"


def ordered(revision: str = "x-1", *, pods: str, generation: int, following: NextOrder | None = None, observed: int = 1) -> NodeProxy:
    status = reported("x-1") | {"observedGeneration": observed}
    made = proxy("n1", revision=revision, pods=pods, generation=generation, **status)
    return msgspec.structs.replace(made, spec=msgspec.structs.replace(made.spec, next=following))


def test_a_change_waits_for_its_probe_from_the_first_time_on_until_it_waits_no_more(
    caches: Caches, observations: Observations, clock: Clock
) -> None:
    caches.probes_awaited("x", ("n1", "n2"))
    clock.s += 5
    caches.probes_awaited("x", ("n1",))
    caches.probes_awaited("y", ("n3",))
    clock.s += 1
    assert observations.waits().probing_s == {"n1": 6, "n3": 1}

    caches.probes_awaited("x", ())
    caches.probes_awaited("x", ("n1",))
    assert observations.waits().probing_s == {"n1": 0, "n3": 1}


def test_a_probe_pod_wakes_its_proxyconfig_and_is_no_agent(caches: Caches, observations: Observations, woken: list[str]) -> None:
    caches.probe_pods.on_upsert(pod("proxyconfig-probe-n1", "n1"))

    assert woken == ["x"]
    assert observations.waits().agent_ready_s == {}
