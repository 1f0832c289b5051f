"""Whatever happens during a rollout, and wherever the operator is interrupted: too many nodes never change at once, and it ends."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings, target
from hypothesis import strategies as st
from tests.unit.operator.rollout.simulation import SimNode, Simulation
from tests.unit.operator.rollout.simulation import settings as rollout

from proxyconfig_api.rollout.member import Standing
from proxyconfig_api.rollout.release import Release
from proxyconfig_api.status.rollout import RolloutPhase

NAMES = [f"n{number:02}" for number in range(12)]
REVISIONS, PODS = ["r1", "r2", "r3"], ["p1", "p2", "p3"]
ENDS = {RolloutPhase.COMPLETE, RolloutPhase.PAUSED, RolloutPhase.FAILED, RolloutPhase.ROLLED_BACK}

some_settings = st.fixed_dictionaries(
    {"progressDeadline": st.just("1m")},
    optional={
        "maxUnavailable": st.sampled_from([1, 2, 5, "30%", "100%"]),
        "canary": st.sampled_from([{"nodes": 0}, {"nodes": 2}, {"nodes": "50%"}, {"selector": {}}]),
        "holdPeriod": st.sampled_from(["0s", "7s"]),
        "maxFailures": st.sampled_from([0, 1, "20%"]),
        "onFailure": st.sampled_from(["Rollback", "Pause"]),
        "paused": st.booleans(),
        "probes": st.just({"pod": True}),
    },
)
nodes = st.lists(st.builds(SimNode, group=st.sampled_from(["a", "b", ""]), canary=st.booleans()), min_size=1, max_size=len(NAMES))
faults = st.sets(st.tuples(st.sampled_from(NAMES), st.sampled_from(REVISIONS[1:])), max_size=4)
slow = st.sets(st.tuples(st.sampled_from(NAMES), st.sampled_from(REVISIONS[1:] + PODS[1:])), max_size=4)
bad_and_slow = st.tuples(faults, slow)
demands = st.tuples(st.sets(st.sampled_from(PODS), max_size=2), st.sets(st.sampled_from(REVISIONS[1:])))
"""Pods in which not every revision can run, and revisions that cannot run there."""
steps = st.one_of(
    st.tuples(st.just("operate"), st.integers(0, 8)),
    st.tuples(st.just("time"), st.sampled_from([1, 4, 15, 100])),
    st.tuples(st.just("want"), st.sampled_from(REVISIONS)),
    st.tuples(st.just("want pods"), st.sampled_from(PODS)),
    st.tuples(st.just("evict"), st.sampled_from(NAMES)),
    st.tuples(st.just("down"), st.sampled_from(NAMES)),
    st.tuples(st.just("up"), st.sampled_from(NAMES)),
    st.tuples(st.just("leave"), st.sampled_from(NAMES)),
    st.tuples(st.just("join"), st.sampled_from(NAMES)),
    st.tuples(st.just("settings"), some_settings),
    st.tuples(st.just("retry"), st.sampled_from("abc")),
    st.tuples(st.just("forget"), st.none()),
)


def do(simulation: Simulation, step: str, value: Any) -> None:
    match step:
        case "operate":
            simulation.operate(value)
        case "time":
            simulation.pass_time(value)
        case "want":
            simulation.wanted = value
            make_fit(simulation)
        case "want pods":
            simulation.wanted_pods = value
            make_fit(simulation)
        case "evict" if value in simulation.nodes:
            simulation.nodes[value].pod, simulation.nodes[value].excused = "", True
        case "down" | "up" if value in simulation.nodes:
            simulation.nodes[value].up = step == "up"
            simulation.nodes[value].since = simulation.now_s
        case "leave" if len(simulation.nodes) > 1:
            simulation.nodes.pop(value, None)
        case "join":
            simulation.nodes.setdefault(value, SimNode(group="a"))
        case "settings":
            simulation.settings = rollout(**value)
        case "retry":
            simulation.retry = value
        case "forget":
            simulation.status = None  # somebody restored a backup without status


def make_fit(simulation: Simulation) -> None:
    """The pods of a spec can run its revision."""
    if not simulation.fits(simulation.wanted, simulation.wanted_pods):
        simulation.wanted_pods = next(each for each in PODS if each not in simulation.weak)


def installed(
    fields: dict[str, Any], each: list[SimNode], bad: set[tuple[str, str]], stuck: set[tuple[str, str]], needs: tuple[set[str], set[str]]
) -> Simulation:
    """A cluster with r1 on all nodes, and faults that wait."""
    simulation = Simulation(rollout(progressDeadline="1m"), nodes=dict(zip(NAMES, copy.deepcopy(each), strict=False)))
    simulation.settle()
    simulation.settings, simulation.bad, simulation.stuck, simulation.wanted = rollout(**fields), set(bad), set(stuck), "r2"
    simulation.unprobed = {name for name, _ in stuck}
    weak, demanding = needs
    simulation.weak, simulation.demanding = set(weak), demanding if "p1" in weak else demanding | {"r1"}
    return simulation


@settings(max_examples=100, deadline=None)
@given(some_settings, nodes, bad_and_slow, demands, st.lists(steps, max_size=25))
def test_whatever_happens_it_ends_and_never_too_many_nodes_change_at_once(
    fields: dict[str, Any],
    each: list[SimNode],
    wrong: tuple[set[tuple[str, str]], set[tuple[str, str]]],
    needs: tuple[set[str], set[str]],
    happened: list[tuple[str, Any]],
) -> None:
    simulation = installed(fields, each, *wrong, needs)
    make_fit(simulation)
    for step, value in happened:
        do(simulation, step, value)

    phase = simulation.settle()

    assert phase in ENDS
    assert all(node.release for node in simulation.nodes.values()), "a node without a revision"
    target(float(simulation.largest))
    if phase is RolloutPhase.COMPLETE:
        assert simulation.status is not None
        assert simulation.settings.paused or simulation.status.revision == simulation.wanted
        assert goals(simulation) == {Release(simulation.status.revision, simulation.status.pod_revision)}
        assert all(under_way_fails(simulation)) or simulation.settings.paused
        assert set(pods_where_pods_can_be_replaced(simulation)) <= {simulation.status.pod_revision}
    if phase is RolloutPhase.ROLLED_BACK:
        assert simulation.status is not None
        assert goals(simulation) == {Release(simulation.status.previous_revision, simulation.status.previous_pod_revision)}
        assert all(under_way_fails(simulation)) or simulation.settings.paused
        assert set(pods_where_pods_can_be_replaced(simulation)) <= {simulation.status.previous_pod_revision}


def goals(simulation: Simulation) -> set[Release]:
    return {each.goal for each in simulation.nodes.values()}


def under_way_fails(simulation: Simulation) -> list[bool]:
    """Of each node that stays on its way, whether it has failed there, or is down."""
    return [each.failed or each.standing is Standing.UNREACHABLE for each in simulation.members() if each.is_under_way]


def pods_where_pods_can_be_replaced(simulation: Simulation) -> list[str]:
    return [each.pod for each in simulation.nodes.values() if each.up and each.release == each.goal]


@settings(max_examples=60, deadline=None)
@given(some_settings, nodes, faults, demands, st.lists(st.integers(0, 6), max_size=20))
def test_an_operator_that_ends_between_any_two_writes_reaches_the_same_end(
    fields: dict[str, Any], each: list[SimNode], bad: set[tuple[str, str]], needs: tuple[set[str], set[str]], interrupted: list[int]
) -> None:
    whole, broken = installed(fields, each, bad, set(), needs), installed(fields, each, bad, set(), needs)
    for each_one in (whole, broken):
        each_one.wanted_pods = "p2"
        make_fit(each_one)
    for writes in interrupted:
        broken.operate(writes)
        broken.pass_time(2)

    assert whole.settle() is broken.settle()
    assert whole.given() == broken.given() or whole.settings.on_failure == "Pause" or whole.settings.paused


orders = st.one_of(
    st.tuples(st.just("operate"), st.just(100)),
    st.tuples(st.just("time"), st.sampled_from([1, 2, 4])),
    st.tuples(st.just("want"), st.sampled_from(REVISIONS)),
    st.tuples(st.just("want pods"), st.sampled_from(PODS)),
)


@settings(max_examples=100, deadline=None)
@given(nodes, faults, demands, st.lists(orders, max_size=40))
def test_no_pod_is_replaced_while_the_revision_of_its_node_changes(
    each: list[SimNode], bad: set[tuple[str, str]], needs: tuple[set[str], set[str]], happened: list[tuple[str, Any]]
) -> None:
    """The simulation asserts it whenever a pod is deleted, and that no pod is ordered what it cannot run."""
    simulation = installed({"progressDeadline": "1m", "holdPeriod": "3s", "maxUnavailable": "100%"}, each, bad, set(), needs)
    simulation.wanted_pods = "p2"
    make_fit(simulation)
    for step, value in happened:
        do(simulation, step, value)

    assert simulation.settle() in ENDS
