"""A change goes through the nodes in waves, and back if one fails: a real API server, a real operator, simulated agents."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from tests.apiserver.expect import event, happened, is_ready, says, soon
from tests.apiserver.fleet import Fleet
from tests.apiserver.objects import CONFIGS, PROXIES, PULL_ERROR, Api, Object, config
from tests.apiserver.process import OperatorProcess

from proxyconfig_api.spec.rollout import RETRY_ANNOTATION

pytestmark = pytest.mark.apiserver

ZONE = "topology.kubernetes.io/zone"
CHANGE = {"spec": {"masquerade": {"all": True}}}


def installed(api: Api, fleet: Fleet, **rollout: object) -> list[str]:
    """Six nodes in three zones, all on the first revision."""
    nodes = [f"n{number}" for number in range(6)]
    for number, name in enumerate(nodes):
        fleet.join(name, **{ZONE: "abc"[number % 3]})
    api.apply(f"{CONFIGS}/x", config("x", rollout={"holdPeriod": "1s", "maxUnavailable": 2, "topologyKey": ZONE, **rollout}))
    is_ready(api, "x", 6)
    ended(api, "Complete")
    return nodes


def rollout_of(api: Api) -> Object:
    found: Object = api.have(f"{CONFIGS}/x").get("status", {}).get("rollout", {})
    return found


def ended(api: Api, phase: str) -> Object:
    return soon(lambda: rollout_of(api), until=lambda rollout: rollout.get("phase") == phase)


def generations(api: Api, nodes: list[str]) -> list[int]:
    """How often each node was given something."""
    return [api.have(f"{PROXIES}/{name}")["metadata"]["generation"] for name in nodes]


@pytest.mark.usefixtures("operator")
def test_a_change_goes_through_one_zone_after_the_other(api: Api, fleet: Fleet) -> None:
    nodes = installed(api, fleet)
    api.patch(f"{CONFIGS}/x", CHANGE)

    is_ready(api, "x", 6)
    rollout = ended(api, "Complete")

    assert (rollout["wave"], rollout["waves"], rollout["updated"], rollout["failed"]) == (4, 4, 6, 0)
    assert generations(api, nodes) == [2] * 6
    change = api.have(f"{PROXIES}/n0")["spec"]["change"]
    assert (change["holdPeriod"], change["onFailure"], change["probes"]["dns"]) == ("1s", "Rollback", True)
    event(api, "RolloutComplete")
    assert sorted(each["note"][:11] for each in happened(api, "WaveStarted")) == [f"wave {number} of 4" for number in (1, 2, 3, 4)]
    assert says(api, "x", "Reconciling", "False")


@pytest.mark.usefixtures("operator")
def test_a_canary_that_fails_goes_back_and_no_other_node_ever_changes(api: Api, fleet: Fleet) -> None:
    nodes = installed(api, fleet)
    old = api.have(f"{CONFIGS}/x")["status"]["revision"]
    fleet.going_back.add("n0")
    api.patch(f"{CONFIGS}/x", CHANGE)

    rollout = ended(api, "RolledBack")
    stalled = says(api, "x", "Stalled", "True", "RolloutFailed")

    assert "node n0: ProbeFailed: probe dns/UDP failed: no answer within 1 s" in stalled["message"]
    assert (rollout["failed"], rollout["aborted"], rollout["previousRevision"]) == (1, 5, old)
    assert {api.have(f"{PROXIES}/{name}")["spec"]["revisionName"] for name in nodes} == {old}
    assert generations(api, nodes) == [3, 1, 1, 1, 1, 1], "there and back, and the rest never"
    event(api, "RolledBack")

    api.patch(f"{CONFIGS}/x", {"spec": {"masquerade": {"all": False}}})
    is_ready(api, "x", 6)
    assert generations(api, nodes) == [3, 1, 1, 1, 1, 1], "a reverted spec is done at once"


@pytest.mark.usefixtures("operator")
def test_a_retry_reaches_a_node_that_keeps_the_revision_which_failed_there(api: Api, fleet: Fleet) -> None:
    nodes = installed(api, fleet, onFailure="Pause")
    fleet.going_back.add("n0")
    api.patch(f"{CONFIGS}/x", CHANGE)
    ended(api, "Failed")
    assert generations(api, nodes) == [2, 1, 1, 1, 1, 1]
    fleet.going_back.clear()

    api.patch(f"{CONFIGS}/x", {"metadata": {"annotations": {RETRY_ANNOTATION: "1"}}})

    ended(api, "Complete")
    assert generations(api, nodes) == [3, 2, 2, 2, 2, 2]
    assert api.have(f"{PROXIES}/n0")["spec"]["change"]["retry"] == "1"


@pytest.mark.usefixtures("operator")
def test_a_rollout_that_is_paused_goes_on_where_it_was(api: Api, fleet: Fleet) -> None:
    nodes = installed(api, fleet, holdPeriod="3s")
    api.patch(f"{CONFIGS}/x", CHANGE)
    soon(lambda: rollout_of(api).get("wave") == 1)
    api.patch(f"{CONFIGS}/x", {"spec": {"rollout": {"paused": True}}})

    ended(api, "Paused")
    waiting = says(api, "x", "Ready", "False", "Paused")["message"]
    assert f"{rollout_of(api)['revision']} has yet to come to " in waiting
    assert waiting.split(": ")[1].split("; ")[0] in says(api, "x", "Paused", "True")["message"]
    fleet.join("n6", **{ZONE: "a"})
    soon(lambda: api.get(f"{PROXIES}/n6"))
    changed = sum(generation > 1 for generation in generations(api, nodes))
    assert 1 <= changed <= 2
    assert api.have(f"{PROXIES}/n6")["spec"]["revisionName"] == rollout_of(api)["previousRevision"]

    api.patch(f"{CONFIGS}/x", {"spec": {"rollout": {"paused": False}}})
    is_ready(api, "x", 7)
    assert generations(api, nodes) == [2] * 6


def test_an_operator_that_is_killed_between_waves_is_followed_by_one_that_goes_on(
    api: Api, fleet: Fleet, account: Path, tmp_path: Path
) -> None:
    with OperatorProcess(account, tmp_path / "first.log") as first:
        nodes = installed(api, fleet, holdPeriod="3s")
        api.patch(f"{CONFIGS}/x", CHANGE)
        soon(lambda: rollout_of(api).get("wave") == 2)
        first.send(signal.SIGKILL)
        first.ended()
    assert rollout_of(api)["phase"] == "Progressing"
    assert sum(generation > 1 for generation in generations(api, nodes)) < 6

    with OperatorProcess(account, tmp_path / "second.log"):
        is_ready(api, "x", 6)
        assert ended(api, "Complete")["waves"] == 4

    assert generations(api, nodes) == [2] * 6, "every node changes once"


@pytest.mark.usefixtures("operator")
def test_a_first_installation_is_stalled_while_nodes_are_not_ready_in_time_and_goes_on(api: Api, fleet: Fleet) -> None:
    fleet.missing_images.add("registry.test/none:1")
    fleet.join("n1", "n2")
    rollout = {"holdPeriod": "0s", "progressDeadline": "3s"}
    api.apply(f"{CONFIGS}/x", config("x", agent={"image": "registry.test/none:1"}, rollout=rollout))

    stalled = says(api, "x", "Stalled", "True", "ProgressDeadlineExceeded")

    assert " of 2 nodes did not get ready within spec.rollout.progressDeadline; node n" in stalled["message"]
    assert PULL_ERROR in stalled["message"]
    assert rollout_of(api)["phase"] == "Progressing"
    event(api, "ProgressDeadlineExceeded")
    fleet.missing_images.clear()
    is_ready(api, "x", 2)
    says(api, "x", "Stalled", "False")
    ended(api, "Complete")
