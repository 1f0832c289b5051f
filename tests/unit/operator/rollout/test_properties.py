"""Whatever happens during a rollout, and wherever the operator is interrupted: too many nodes never change at once, and it ends."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings, target
from hypothesis import strategies as st
from tests.unit.operator.rollout.simulation import SimNode, Simulation
from tests.unit.operator.rollout.simulation import settings as rollout

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
    },
)
nodes = st.lists(st.builds(SimNode, group=st.sampled_from(["a", "b", ""]), canary=st.booleans()), min_size=1, max_size=len(NAMES))
faults = st.sets(st.tuples(st.sampled_from(NAMES), st.sampled_from(REVISIONS[1:])), max_size=4)
slow = st.sets(st.tuples(st.sampled_from(NAMES), st.sampled_from(REVISIONS[1:] + PODS[1:])), max_size=4)
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
        case "want pods":
            simulation.wanted_pods = value
        case "evict" if value in simulation.nodes:
            simulation.nodes[value].pod = ""
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


def installed(fields: dict[str, Any], each: list[SimNode], bad: set[tuple[str, str]], stuck: set[tuple[str, str]]) -> Simulation:
    """A cluster with r1 on all nodes, and faults that wait."""
    simulation = Simulation(rollout(progressDeadline="1m"), nodes=dict(zip(NAMES, copy.deepcopy(each), strict=False)))
    simulation.settle()
    simulation.settings, simulation.bad, simulation.stuck, simulation.wanted = rollout(**fields), set(bad), set(stuck), "r2"
    return simulation


@settings(max_examples=100, deadline=None)
@given(some_settings, nodes, faults, slow, st.lists(steps, max_size=25))
def test_whatever_happens_it_ends_and_never_too_many_nodes_change_at_once(
    fields: dict[str, Any], each: list[SimNode], bad: set[tuple[str, str]], stuck: set[tuple[str, str]], happened: list[tuple[str, Any]]
) -> None:
    simulation = installed(fields, each, bad, stuck)
    for step, value in happened:
        do(simulation, step, value)

    phase = simulation.settle()

    assert phase in ENDS
    assert all(node.release for node in simulation.nodes.values()), "a node without a revision"
    target(float(simulation.largest))
    if phase is RolloutPhase.COMPLETE:
        assert simulation.status is not None
        assert simulation.settings.paused or simulation.status.revision == simulation.wanted
        assert set(simulation.given()) == {simulation.status.revision}
        assert set(pods_where_pods_can_be_replaced(simulation)) <= {simulation.status.pod_revision}
    if phase is RolloutPhase.ROLLED_BACK:
        assert simulation.status is not None
        assert set(simulation.given()) == {simulation.status.previous_revision}
        assert set(pods_where_pods_can_be_replaced(simulation)) <= {simulation.status.previous_pod_revision}


def pods_where_pods_can_be_replaced(simulation: Simulation) -> list[str]:
    return [each.pod for each in simulation.nodes.values() if each.up]


@settings(max_examples=60, deadline=None)
@given(some_settings, nodes, faults, st.lists(st.integers(0, 6), max_size=20))
def test_an_operator_that_ends_between_any_two_writes_reaches_the_same_end(
    fields: dict[str, Any], each: list[SimNode], bad: set[tuple[str, str]], interrupted: list[int]
) -> None:
    whole, broken = installed(fields, each, bad, set()), installed(fields, each, bad, set())
    for writes in interrupted:
        broken.operate(writes)
        broken.pass_time(2)

    assert whole.settle() is broken.settle()
    assert whole.given() == broken.given() or whole.settings.on_failure == "Pause" or whole.settings.paused
