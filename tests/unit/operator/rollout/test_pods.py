"""How the pods of agents go in the waves of a rollout, on simulated nodes."""

from __future__ import annotations

import pytest
from tests.unit.operator.rollout.simulation import SimNode, Simulation, settings
from tests.unit.operator.rollout.test_planner import installed, sizes

from proxyconfig_api.rollout.release import Release
from proxyconfig_api.status.rollout import RolloutPhase


def test_pods_are_replaced_in_waves_with_a_canary_first() -> None:
    simulation = installed(10, maxUnavailable=3)
    simulation.wanted, simulation.wanted_pods = "r1", "p2"

    assert sizes(simulation) == [1, 3, 3, 3]
    assert simulation.pods() == {"p2": 10}
    assert simulation.given() == {"r1": 10}


def test_a_mode_that_needs_other_pods_is_one_rollout() -> None:
    simulation = installed(10)
    simulation.wanted_pods = "p2"

    assert simulation.step().moves == {"n00": Release("r2", "p2")}
    assert simulation.settle() is RolloutPhase.COMPLETE
    assert (simulation.given(), simulation.pods()) == ({"r2": 10}, {"p2": 10})


def orders_of(simulation: Simulation, node: str) -> list[Release]:
    """What a node is ordered until the rollout has ended, one after the other."""
    orders = [simulation.nodes[node].release]
    for _ in range(200):
        busy = simulation.operate()
        simulation.pass_time(1)
        orders.append(simulation.nodes[node].release)
        assert simulation.status is not None
        if not busy and simulation.status.phase in (RolloutPhase.COMPLETE, RolloutPhase.ROLLED_BACK):
            break
    return [release for release, before in zip(orders[1:], orders, strict=False) if release != before]


def test_the_pod_of_another_mode_comes_first_where_it_can_run_the_old_revision() -> None:
    simulation = installed(3)
    simulation.wanted_pods = "p2"

    assert orders_of(simulation, "n01") == [Release("r1", "p2"), Release("r2", "p2")]


def test_the_revision_comes_first_where_the_new_pod_cannot_run_the_old_one() -> None:
    simulation = installed(3, holdPeriod="20s")
    simulation.wanted_pods = "p2"
    simulation.weak, simulation.demanding = {"p2"}, {"r1"}

    assert orders_of(simulation, "n01") == [Release("r2", "p1"), Release("r2", "p2")]


@pytest.mark.parametrize("weak", ["p1", "p2"])
def test_the_way_back_has_the_same_steps_in_the_other_order(weak: str) -> None:
    simulation = installed(3, maxUnavailable=1)
    simulation.wanted_pods = "p2"
    simulation.weak, simulation.demanding = {weak}, {"r2" if weak == "p1" else "r1"}
    simulation.bad.add(("n02", "r2"))
    between = Release("r1", "p2") if weak == "p1" else Release("r2", "p1")

    assert orders_of(simulation, "n00") == [between, Release("r2", "p2"), between, Release("r1", "p1")]


def test_a_pod_that_never_gets_ready_fails_the_rollout_before_any_node_has_the_revision() -> None:
    simulation = installed(3, progressDeadline="1m")
    simulation.wanted_pods = "p2"
    simulation.stuck.add(("n00", "p2"))

    assert orders_of(simulation, "n00") == [Release("r1", "p2"), Release("r1", "p1")]
    assert simulation.status is not None
    assert simulation.status.phase is RolloutPhase.ROLLED_BACK


def test_the_deadline_is_one_for_the_pod_and_the_revision() -> None:
    simulation = installed(3, progressDeadline="1m")
    simulation.wanted_pods = "p2"
    simulation.stuck |= {("n00", "p2"), ("n00", "r2")}
    for seconds in (1, 39, 15):
        simulation.operate()
        simulation.pass_time(seconds)
    assert simulation.nodes["n00"].release == Release("r1", "p2")
    simulation.stuck.discard(("n00", "p2"))
    simulation.operate()
    assert simulation.nodes["n00"].release == Release("r2", "p2")

    simulation.pass_time(10)
    simulation.operate()

    assert simulation.nodes["n00"].goal == Release("r1", "p1")


def test_while_paused_a_node_that_is_under_way_gets_there_and_no_other_one_begins() -> None:
    simulation = installed(3)
    simulation.wanted_pods = "p2"
    simulation.operate()
    simulation.settings = settings(paused=True)

    assert simulation.settle() is RolloutPhase.PAUSED
    assert (simulation.given(), simulation.pods()) == ({"r1": 2, "r2": 1}, {"p1": 2, "p2": 1})

    simulation.settings = settings()
    assert simulation.settle() is RolloutPhase.COMPLETE
    assert simulation.pods() == {"p2": 3}


def test_another_spec_while_a_revision_changes_waits_with_the_pod_until_that_is_over() -> None:
    simulation = installed(1)
    simulation.operate()
    assert simulation.nodes["n00"].release == Release("r2", "p1")
    simulation.wanted, simulation.wanted_pods = "r3", "p3"

    assert orders_of(simulation, "n00") == [Release("r2", "p3"), Release("r3", "p3")]


@pytest.mark.parametrize(("on_failure", "phase", "pods"), [("Rollback", RolloutPhase.ROLLED_BACK, 0), ("Pause", RolloutPhase.FAILED, 1)])
def test_a_pod_that_is_not_ready_within_the_deadline_stops_the_rollout(on_failure: str, phase: RolloutPhase, pods: int) -> None:
    simulation = installed(10, onFailure=on_failure, progressDeadline="1m")
    simulation.wanted, simulation.wanted_pods = "r1", "p2"
    simulation.stuck.add(("n00", "p2"))

    assert simulation.settle() is phase
    assert simulation.pods().get("p2", 0) == pods
    assert simulation.template == "p1", "what comes now is of the last good revision"


def test_new_pods_are_of_the_last_good_revision_but_while_those_of_a_wave_are_replaced() -> None:
    simulation = installed(10, holdPeriod="30s")
    simulation.wanted_pods = "p2"
    simulation.operate()
    assert simulation.template == "p2"
    simulation.operate()
    simulation.pass_time(1)
    simulation.operate()
    assert (simulation.pods(), simulation.template) == ({"p1": 9, "p2": 1}, "p1")

    simulation.nodes["n99"] = SimNode()
    simulation.nodes["n05"].pod = ""
    simulation.operate()
    simulation.pass_time(1)

    assert simulation.nodes["n99"].release == Release("r1", "p1")
    assert simulation.pods() == {"p1": 10, "p2": 1}
    assert simulation.settle() is RolloutPhase.COMPLETE
    assert (simulation.pods(), simulation.template) == ({"p2": 11}, "p2")


def test_a_pod_that_came_with_another_revision_than_its_node_was_given_is_replaced() -> None:
    simulation = installed(10, holdPeriod="30s")
    simulation.wanted_pods = "p2"
    simulation.operate()
    simulation.nodes["n05"].pod = "p2"  # evicted at this moment

    for _ in range(4):
        simulation.operate()
        simulation.pass_time(1)

    assert simulation.pods() == {"p1": 9, "p2": 1}


def test_pods_of_an_operator_that_named_no_revisions_go_in_waves_and_have_no_way_back() -> None:
    simulation = installed(10, progressDeadline="1m")
    for each in simulation.nodes.values():
        each.release = each.goal = Release("r1")
    simulation.status = None
    simulation.wanted, simulation.wanted_pods = "r1", "p2"

    assert simulation.step().moves == {"n00": Release("r1", "p2")}
    assert simulation.settle() is RolloutPhase.COMPLETE
    assert simulation.pods() == {"p2": 10}


def test_a_pod_stays_whose_node_is_ordered_a_revision_for_it_in_the_same_pass() -> None:
    simulation = installed(1)
    simulation.wanted, simulation.wanted_pods = "r1", "p2"
    simulation.operate()
    assert simulation.nodes["n00"].release == Release("r1", "p2")
    simulation.wanted, simulation.wanted_pods = "r2", "p1"

    assert orders_of(simulation, "n00") == [Release("r2", "p1")]
    assert simulation.nodes["n00"].pod_since == 5, "it is the same pod"
