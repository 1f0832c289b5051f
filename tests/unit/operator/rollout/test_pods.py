"""How the pods of agents go in the waves of a rollout, on simulated nodes."""

from __future__ import annotations

import pytest
from tests.unit.operator.rollout.simulation import SimNode
from tests.unit.operator.rollout.test_planner import installed, sizes

from proxyconfig_api.status.rollout import RolloutPhase
from proxyconfig_operator.rollout.release import Release


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
        each.release = each.runs = Release("r1")
    simulation.status = None
    simulation.wanted, simulation.wanted_pods = "r1", "p2"

    assert simulation.step().moves == {"n00": Release("r1", "p2")}
    assert simulation.settle() is RolloutPhase.COMPLETE
    assert simulation.pods() == {"p2": 10}
