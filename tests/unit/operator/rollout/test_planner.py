"""How a rollout goes, on simulated nodes."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.operator.rollout.simulation import PATIENCE_S, START_S, SimNode, Simulation, settings

from proxyconfig_api.rollout.release import Release
from proxyconfig_api.status.rollout import RolloutPhase


def installed(nodes: int = 10, **fields: Any) -> Simulation:
    """A cluster in which every node has r1, and r2 is wanted now."""
    names = [f"n{number:02}" for number in range(nodes)]
    simulation = Simulation(settings(**fields), nodes={name: SimNode() for name in names})
    assert simulation.settle() is RolloutPhase.COMPLETE
    simulation.wanted = "r2"
    return simulation


def sizes(simulation: Simulation) -> list[int]:
    """The sizes of the waves until the end."""
    found = []
    for _ in range(500):
        if moves := simulation.step().moves:
            found.append(len(moves))
        if not simulation.operate() and simulation.status is not None and simulation.status.phase is not RolloutPhase.PROGRESSING:
            return found
        simulation.pass_time(1)
    raise AssertionError(f"does not end: {simulation.status}")


def test_a_first_installation_is_given_to_all_nodes_at_once() -> None:
    simulation = Simulation(nodes={f"n{number}": SimNode() for number in range(9)})

    assert len(simulation.step().joins) == 9
    assert simulation.settle() is RolloutPhase.COMPLETE
    assert (simulation.status is not None and simulation.status.waves) == 0


def test_one_node_is_the_canary_and_waves_of_a_tenth_follow() -> None:
    assert sizes(installed(25)) == [1, 3, 3, 3, 3, 3, 3, 3, 3]


@pytest.mark.parametrize(
    ("fields", "waves"),
    [
        ({"canary": {"nodes": 0}, "maxUnavailable": 4}, [4, 4, 2]),
        ({"canary": {"nodes": 3}, "maxUnavailable": 4}, [3, 4, 3]),
        ({"canary": {"nodes": "50%"}, "maxUnavailable": 4}, [4, 1, 4, 1]),
        ({"maxUnavailable": "100%"}, [1, 9]),
        ({"canary": {"selector": {"matchLabels": {"no": "node"}}}, "maxUnavailable": 9}, [1, 9]),
    ],
)
def test_waves_are_as_large_as_the_spec_says(fields: dict[str, Any], waves: list[int]) -> None:
    assert sizes(installed(10, **fields)) == waves


def test_the_canaries_are_the_nodes_that_the_selector_matches() -> None:
    simulation = installed(10, canary={"selector": {"matchLabels": {"any": "label"}}}, maxUnavailable=5)
    simulation.nodes["n07"].canary = simulation.nodes["n03"].canary = True

    assert set(simulation.step().moves) == {"n03", "n07"}


def test_a_wave_has_nodes_of_one_zone_alone() -> None:
    simulation = installed(9, maxUnavailable=6, topologyKey="zone")
    for number, node in enumerate(simulation.nodes.values()):
        node.group = "abc"[number % 3]

    assert sizes(simulation) == [1, 2, 3, 3]


def test_another_spec_takes_no_node_of_another_zone_while_nodes_still_change() -> None:
    simulation = installed(2, topologyKey="zone", maxUnavailable=1)
    simulation.nodes["n00"].group, simulation.nodes["n01"].group = "a", "b"
    while simulation.nodes["n01"].goal.revision != "r2":
        simulation.operate()
        simulation.pass_time(4)
    simulation.nodes["n01"].runs = "r1"
    simulation.wanted = "r3"

    assert set(simulation.step().moves) <= {"n01"}
    assert simulation.settle() is RolloutPhase.COMPLETE


def test_a_node_that_still_goes_back_is_waited_for_and_one_that_joins_is_not() -> None:
    simulation = installed(2, topologyKey="zone")
    simulation.nodes["n00"].group, simulation.nodes["n01"].group = "a", "b"
    for seconds, wanted in ((4, "r1"), (0, "r2")):
        simulation.operate()
        simulation.pass_time(seconds)
        simulation.wanted = wanted
    simulation.nodes["n02"] = SimNode(group="b")
    assert not simulation.step().moves

    simulation.pass_time(4)
    simulation.operate()
    simulation.pass_time(1)

    assert simulation.step().moves or simulation.given()["r2"] == 1
    assert simulation.settle() is RolloutPhase.COMPLETE


def test_the_next_wave_begins_when_the_one_before_was_healthy_for_the_hold_period() -> None:
    simulation = installed(3, holdPeriod="30s")
    simulation.operate()
    for _ in range(30):
        simulation.pass_time(1)
        assert not simulation.step().moves
    simulation.pass_time(5)

    assert simulation.step().moves == {"n01": Release("r2", "p1")}


def test_a_failing_canary_goes_back_alone_and_no_other_node_is_ever_given_the_revision() -> None:
    simulation = installed(10)
    simulation.bad.add(("n00", "r2"))

    assert simulation.settle() is RolloutPhase.ROLLED_BACK

    assert simulation.given() == {"r1": 10}
    status = simulation.status
    assert status is not None
    assert (status.failed, status.aborted, status.updated, status.message) == (1, 9, 0, "n00: failed")
    assert simulation.largest == 1


def test_a_node_that_takes_longer_than_the_deadline_has_failed() -> None:
    simulation = installed(10, progressDeadline="1m")
    simulation.stuck.add(("n00", "r2"))

    assert simulation.settle() is RolloutPhase.ROLLED_BACK


def test_all_nodes_that_have_it_go_back_when_a_later_wave_fails() -> None:
    simulation = installed(10, maxUnavailable=2)
    simulation.bad.add(("n08", "r2"))

    assert simulation.settle() is RolloutPhase.ROLLED_BACK
    assert simulation.given() == {"r1": 10}


def test_with_pause_all_nodes_keep_what_they_have() -> None:
    simulation = installed(10, onFailure="Pause")
    simulation.bad.add(("n01", "r2"))

    assert simulation.settle() is RolloutPhase.FAILED
    assert simulation.given() == {"r1": 8, "r2": 2}

    simulation.bad.clear()
    assert simulation.settle() is RolloutPhase.COMPLETE, "the node works again"


def test_as_many_failures_as_are_allowed_stop_nothing() -> None:
    simulation = installed(10, maxFailures="20%")
    simulation.bad |= {("n01", "r2"), ("n05", "r2")}

    assert simulation.settle() is RolloutPhase.COMPLETE
    assert simulation.status is not None
    assert (simulation.status.updated, simulation.status.failed) == (8, 2)


def test_a_failed_rollout_stays_so_until_it_is_retried() -> None:
    simulation = installed(3)
    simulation.bad.add(("n00", "r2"))
    simulation.settle()
    simulation.bad.clear()
    assert simulation.settle() is RolloutPhase.ROLLED_BACK

    simulation.retry = "again"

    assert simulation.settle() is RolloutPhase.COMPLETE
    assert simulation.given() == {"r2": 3}


def test_a_retry_reaches_a_node_that_has_gone_back_by_itself_and_was_not_given_the_revision_before_yet() -> None:
    simulation = installed(3)
    simulation.bad.add(("n00", "r2"))
    simulation.operate()
    simulation.pass_time(5)
    simulation.operate(writes=2)  # the template and the status alone
    assert simulation.status is not None
    assert simulation.status.phase is RolloutPhase.ROLLING_BACK
    assert simulation.given() == {"r1": 2, "r2": 1}
    simulation.bad.clear()

    simulation.retry = "again"

    assert simulation.step().moves == {"n00": Release("r2", "p1")}
    assert simulation.settle() is RolloutPhase.COMPLETE
    assert simulation.given() == {"r2": 3}


@pytest.mark.parametrize(("on_failure", "phase"), [("Rollback", RolloutPhase.ROLLED_BACK), ("Pause", RolloutPhase.FAILED)])
def test_a_retry_that_comes_while_nothing_has_failed_does_not_undo_a_later_failure(on_failure: str, phase: RolloutPhase) -> None:
    simulation = installed(3, onFailure=on_failure)
    simulation.bad.add(("n01", "r2"))
    simulation.operate()
    simulation.retry = "too early"

    assert simulation.settle() is phase
    assert simulation.status is not None
    assert simulation.status.observed_retry == "", "no second attempt has begun"

    simulation.bad.clear()
    simulation.retry = "again"
    assert simulation.settle() is RolloutPhase.COMPLETE
    assert simulation.given() == {"r2": 3}


def test_a_retry_that_comes_after_the_end_does_not_undo_the_failure_of_the_next_rollout() -> None:
    simulation = installed(3)
    simulation.settle()
    simulation.retry = "too late"
    simulation.settle()
    simulation.bad.add(("n00", "r3"))
    simulation.wanted = "r3"
    simulation.operate()
    simulation.retry = "too early"

    assert simulation.settle() is RolloutPhase.ROLLED_BACK
    assert simulation.status is not None
    assert simulation.status.observed_retry == "too late", "no second attempt has begun"


def test_an_annotation_that_is_taken_away_retries_nothing() -> None:
    simulation = installed(3)
    simulation.retry = "given with the change"
    simulation.bad.add(("n00", "r2"))
    assert simulation.settle() is RolloutPhase.ROLLED_BACK
    simulation.retry = ""

    assert not simulation.step().moves


def test_a_retry_of_what_still_fails_fails_again() -> None:
    simulation = installed(3, onFailure="Pause")
    simulation.bad.add(("n00", "r2"))
    simulation.settle()

    simulation.retry = "again"

    assert simulation.step().moves == {"n00": Release("r2", "p1")}
    assert simulation.settle() is RolloutPhase.FAILED
    assert simulation.given() == {"r1": 2, "r2": 1}


def test_a_spec_that_is_reverted_is_undone_at_once_where_nothing_has_changed() -> None:
    simulation = installed(10, maxUnavailable=2)
    while simulation.given() != {"r1": 3, "r2": 7}:
        simulation.operate()
        simulation.pass_time(5)
    simulation.wanted = "r1"

    assert not any(name > "n06" for name in simulation.step().moves)
    assert simulation.settle() is RolloutPhase.COMPLETE
    assert simulation.given() == {"r1": 10}


def test_a_mended_spec_begins_with_the_node_that_has_failed() -> None:
    simulation = installed(10, onFailure="Pause")
    simulation.nodes = dict(reversed(simulation.nodes.items()))
    simulation.bad.add(("n00", "r2"))
    simulation.settle()
    simulation.wanted = "r3"

    assert simulation.step().moves == {"n00": Release("r3", "p1")}
    assert simulation.settle() is RolloutPhase.COMPLETE
    assert simulation.given() == {"r3": 10}


def test_while_paused_no_node_changes() -> None:
    simulation = installed(5)
    simulation.operate()
    simulation.settings = settings(paused=True)

    assert simulation.settle() is RolloutPhase.PAUSED
    assert simulation.given() == {"r1": 4, "r2": 1}

    simulation.settings = settings()
    assert simulation.settle() is RolloutPhase.COMPLETE


@pytest.mark.parametrize("paused", [False, True])
def test_a_node_that_joins_gets_the_last_good_revision_until_its_wave(paused: bool) -> None:
    simulation = installed(3)
    simulation.operate()
    simulation.settings = settings(paused=paused)
    simulation.nodes["n99"] = SimNode()

    assert simulation.step().joins == {"n99": Release("r1", "p1")}
    simulation.settings = settings()
    assert simulation.settle() is RolloutPhase.COMPLETE
    assert simulation.given() == {"r2": 4}


def test_a_node_that_joins_after_a_failure_gets_the_last_good_revision_and_after_success_the_new_one() -> None:
    failed, succeeded = installed(3), installed(3)
    failed.bad.add(("n00", "r2"))
    for simulation, revision in ((failed, "r1"), (succeeded, "r2")):
        simulation.settle()
        simulation.nodes["n99"] = SimNode()
        assert simulation.step().joins == {"n99": Release(revision, "p1")}


def test_a_node_that_was_down_before_fails_nothing_and_catches_up() -> None:
    simulation = installed(5)
    simulation.nodes["n00"].up = False

    assert simulation.settle() is RolloutPhase.COMPLETE
    assert simulation.given() == {"r2": 5}, "it finds the revision when it is back"
    simulation.nodes["n00"].up = True
    simulation.settle()
    assert simulation.status is not None
    assert simulation.status.updated == 5


def test_a_node_that_goes_down_with_the_change_has_failed() -> None:
    simulation = installed(5, progressDeadline="1m")
    simulation.operate()
    simulation.nodes["n00"].up = False

    assert simulation.settle() is RolloutPhase.ROLLED_BACK


def test_without_a_status_the_revision_of_most_nodes_is_the_good_one() -> None:
    simulation = installed(10)
    simulation.operate()
    simulation.status = None

    assert simulation.step().status.previous_revision == "r1"
    assert simulation.settle() is RolloutPhase.COMPLETE


def test_what_is_written_says_how_far_it_is() -> None:
    simulation = installed(10, maxUnavailable=3)
    told = []
    for _ in range(60):
        simulation.operate()
        assert simulation.status is not None
        told.append((simulation.status.phase, simulation.status.wave, simulation.status.waves))
        simulation.pass_time(1)

    assert list(dict.fromkeys(told)) == [
        *((RolloutPhase.PROGRESSING, wave, 4) for wave in (1, 2, 3, 4)),
        (RolloutPhase.COMPLETE, 4, 4),
    ]


def probed(nodes: int = 10, **fields: Any) -> Simulation:
    """The same, where the change waits for a probe pod on each node."""
    return installed(nodes, probes={"pod": True}, **fields)


def test_a_wave_waits_until_all_of_its_nodes_can_be_probed_and_then_goes_at_once() -> None:
    simulation = probed(4, canary={"nodes": 0}, maxUnavailable="100%")

    assert (simulation.step().awaited, simulation.step().moves) == (("n00", "n01", "n02", "n03"), {})
    simulation.operate()
    assert simulation.status is not None
    assert simulation.status.message == "4 nodes will change when the probe pods are ready"
    simulation.pass_time(START_S)
    assert (simulation.step().awaited, len(simulation.step().moves)) == ((), 4)


def test_waves_are_as_large_with_probe_pods_as_without() -> None:
    assert sizes(probed(25)) == sizes(installed(25))


def test_a_probe_pod_that_never_gets_ready_holds_a_wave_up_only_so_long() -> None:
    simulation = probed(2, canary={"nodes": 2}, maxUnavailable=2)
    simulation.unprobed = {"n01"}

    simulation.operate()
    simulation.pass_time(PATIENCE_S - 1)
    assert (simulation.step().moves, simulation.step().again_in_s) == ({}, 1)
    simulation.pass_time(1)
    assert len(simulation.step().moves) == 2


def test_no_way_back_waits_for_a_probe_pod() -> None:
    simulation = probed(10, canary={"nodes": 4})
    simulation.operate()
    simulation.pass_time(START_S)
    simulation.operate()
    simulation.bad, simulation.unprobed = {("n01", "r2")}, set(simulation.nodes)

    assert simulation.settle() is RolloutPhase.ROLLED_BACK
    assert simulation.given() == {"r1": 10}


def test_a_node_that_is_down_gets_the_release_in_the_end_without_a_wait_for_a_probe_pod() -> None:
    simulation = probed(3)
    simulation.nodes["n02"].up = False
    for _ in range(200):
        simulation.operate()
        simulation.pass_time(1)
        if simulation.status is not None and simulation.status.phase is RolloutPhase.COMPLETE:
            break

    assert (simulation.step().awaited, list(simulation.step().moves)) == ((), ["n02"])
