"""Deleting a ProxyConfig: its kernel state goes first, with proof; a dead node holds nobody up."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.apiserver.expect import event, gone, happened, is_ready, says, soon
from tests.apiserver.fleet import Fleet
from tests.apiserver.objects import CONFIGS, DAEMONSETS, NODES, PODS, PROXIES, Api, config
from tests.apiserver.process import OperatorProcess
from tests.apiserver.wallclock import wrong_by
from tests.support.polling import eventually

from proxyconfig_api.objects import names

DEADLINE_S = 12
"""Agents answer within a second; a busy machine may take longer."""
pytestmark = pytest.mark.apiserver


def test_it_goes_when_every_node_has_proven_that_nothing_is_left(api: Api, fleet: Fleet, patient: OperatorProcess) -> None:
    fleet.join("n1", "n2")
    api.apply(f"{CONFIGS}/x", config("x"))
    is_ready(api, "x", 2)

    api.delete(f"{CONFIGS}/x")

    gone(api, f"{CONFIGS}/x")
    assert sorted(fleet.removals) == ["n1", "n2"]
    assert (api.names(PROXIES), api.names(DAEMONSETS)) == ([], [])
    assert not any(names.CONFIG_LABEL in each["metadata"]["labels"] for each in api.every(NODES))
    assert event(api, "Removed")["note"] == "released, every node has confirmed its cleanup"
    assert not happened(api, "RemovalNotProven")
    assert "orphans" not in patient.said()


@pytest.mark.usefixtures("patient")
def test_it_waits_for_the_last_node_and_says_for_whom(api: Api, fleet: Fleet) -> None:
    fleet.join("n1", "n2")
    fleet.stubborn.add("n2")
    api.apply(f"{CONFIGS}/x", config("x"))
    is_ready(api, "x", 2)

    api.delete(f"{CONFIGS}/x")

    soon(lambda: fleet.removals == ["n1"])
    waiting = soon(lambda: says(api, "x", "Ready", "False", "Deleting"), until=lambda seen: "for node n2" in seen["message"])
    assert waiting["message"] == "waiting for node n2 to confirm a complete cleanup"
    fleet.stubborn.clear()
    gone(api, f"{CONFIGS}/x")


@pytest.mark.usefixtures("patient")
def test_nodes_that_are_given_back_keep_their_agents_until_kube_proxy_serves_them(api: Api, fleet: Fleet) -> None:
    fleet.join("n1", "n2")
    api.apply(f"{CONFIGS}/x", config("x", removalPolicy="Keep"))
    is_ready(api, "x", 2)

    api.delete(f"{CONFIGS}/x")

    soon(lambda: [labels_of(api, name) for name in ("n1", "n2")], until=[{names.LEAVING_LABEL: "x"}].__mul__(2).__eq__)
    waiting = soon(lambda: says(api, "x", "Ready", "False", "GivingBack"), until=lambda seen: "2 nodes" in seen["message"])
    assert waiting["message"].startswith("waiting for kube-proxy to serve 2 nodes (n1, n2); set spec.removalPolicy to Remove")
    assert (len(api.names(PODS)), fleet.removals) == (2, [])
    fleet.with_kube_proxy.add("n1")
    soon(lambda: labels_of(api, "n1"), until={}.__eq__)
    assert labels_of(api, "n2") == {names.LEAVING_LABEL: "x"}
    fleet.with_kube_proxy.add("n2")
    gone(api, f"{CONFIGS}/x")
    assert labels_of(api, "n2") == {}
    assert event(api, "GivingBack")["note"].startswith("the rules of 2 nodes (n1, n2) stay until kube-proxy serves there")
    assert not happened(api, "RemovalNotProven")


@pytest.mark.usefixtures("patient")
def test_nodes_go_without_a_kube_proxy_when_the_policy_is_changed_meanwhile(api: Api, fleet: Fleet) -> None:
    fleet.join("n1")
    api.apply(f"{CONFIGS}/x", config("x", removalPolicy="Keep"))
    is_ready(api, "x", 1)
    api.delete(f"{CONFIGS}/x")
    says(api, "x", "Ready", "False", "GivingBack")

    api.patch(f"{CONFIGS}/x", {"spec": {"removalPolicy": "Remove"}})

    gone(api, f"{CONFIGS}/x")
    assert (fleet.removals, labels_of(api, "n1")) == (["n1"], {})


@pytest.mark.usefixtures("patient")
def test_a_node_that_is_selected_again_comes_back_while_kube_proxy_is_awaited(api: Api, fleet: Fleet) -> None:
    fleet.join("n1")
    api.apply(f"{CONFIGS}/x", config("x", removalPolicy="Keep"))
    is_ready(api, "x", 1)
    api.apply(f"{CONFIGS}/x", config("x", removalPolicy="Keep", nodeSelector={"matchLabels": {"pool": "none"}}))
    soon(lambda: labels_of(api, "n1"), until={names.LEAVING_LABEL: "x"}.__eq__)

    api.apply(f"{CONFIGS}/x", config("x", removalPolicy="Keep"))

    soon(lambda: labels_of(api, "n1"), until={names.CONFIG_LABEL: "x"}.__eq__)
    is_ready(api, "x", 1)
    assert fleet.removals == []


def labels_of(api: Api, node: str) -> dict[str, str]:
    """Those of the operator."""
    labels: dict[str, str] = api.have(f"{NODES}/{node}")["metadata"]["labels"]
    return {key: value for key, value in labels.items() if key in (names.CONFIG_LABEL, names.LEAVING_LABEL)}


@pytest.mark.parametrize("skew_s", [0, 600, -600], ids=["clock-right", "clock-10-minutes-ahead", "clock-10-minutes-behind"])
def test_an_operator_that_was_away_for_longer_than_the_deadline_asks_every_node(
    api: Api, fleet: Fleet, account: Path, tmp_path: Path, skew_s: int
) -> None:
    fleet.join("n1", "n2")
    api.apply(f"{CONFIGS}/x", config("x"))
    with OperatorProcess(account, tmp_path / "before.log"):
        is_ready(api, "x", 2)
    api.delete(f"{CONFIGS}/x")
    deleted = time.monotonic()
    eventually(lambda: time.monotonic() - deleted > DEADLINE_S + 1)

    deadline, wrong = ("--removal-deadline", str(DEADLINE_S)), wrong_by(skew_s, tmp_path)
    with OperatorProcess(account, tmp_path / "operator.log", *deadline, environment=wrong) as operator:
        gone(api, f"{CONFIGS}/x")

        assert sorted(fleet.removals) == ["n1", "n2"]
        assert event(api, "RemovalRequested")["note"] == "2 nodes (n1, n2) asked to remove all rules"
        assert event(api, "Removed")["type"] == "Normal"
        assert not happened(api, "RemovalNotProven")
        assert "Traceback" not in operator.said()


@pytest.mark.parametrize("skew_s", [600, -600], ids=["clock-10-minutes-ahead", "clock-10-minutes-behind"])
def test_a_wrong_clock_changes_no_deadline(api: Api, fleet: Fleet, account: Path, tmp_path: Path, skew_s: int) -> None:
    fleet.join("n1")
    fleet.stubborn.add("n1")
    api.apply(f"{CONFIGS}/x", config("x"))
    deadline, wrong = ("--removal-deadline", str(DEADLINE_S)), wrong_by(skew_s, tmp_path)
    with OperatorProcess(account, tmp_path / "operator.log", *deadline, environment=wrong):
        is_ready(api, "x", 1)

        deleted = time.monotonic()
        api.delete(f"{CONFIGS}/x")
        gone(api, f"{CONFIGS}/x")

    assert time.monotonic() - deleted > DEADLINE_S - 1
    assert "has not confirmed it within 12 s" in event(api, "RemovalNotProven")["note"]


def test_a_dead_node_is_not_waited_for_and_cleaned_when_it_returns(api: Api, fleet: Fleet, account: Path, tmp_path: Path) -> None:
    fleet.renew_s = 2.0
    fleet.join("n1", "n2")
    api.apply(f"{CONFIGS}/x", config("x"))
    with OperatorProcess(account, tmp_path / "operator.log", "--removal-deadline", "600", "--heartbeat-grace", "10") as operator:
        is_ready(api, "x", 2)
        fleet.die("n2")
        says(api, "x", "Ready", "False", "NodesUnreachable")

        api.delete(f"{CONFIGS}/x")

        gone(api, f"{CONFIGS}/x", within_s=120)  # long before the deadline, which is for nodes that could answer
        assert fleet.removals == ["n1"]
        assert event(api, "RemovalNotProven")["note"].startswith("cleanup of node n2 not confirmed: neither the node nor its agent")
        assert event(api, "Removed")["type"] == "Warning"
        (left,) = api.every(PROXIES)
        assert (left["metadata"]["name"], left["spec"]["action"]) == ("n2", "Remove")

        fleet.return_to_life("n2")

        soon(lambda: (api.names(PROXIES), api.names(DAEMONSETS)) == ([], []))
        assert fleet.removals == ["n1", "n2"]
        assert names.CONFIG_LABEL not in api.have(f"{NODES}/n2")["metadata"]["labels"]
        assert "Traceback" not in operator.said()


@pytest.mark.usefixtures("patient")
def test_a_node_that_waits_for_its_network_is_asked_and_gets_its_time(api: Api, fleet: Fleet) -> None:
    fleet.join("n1", "n2")
    fleet.stubborn.add("n2")
    api.apply(f"{CONFIGS}/x", config("x"))
    is_ready(api, "x", 2)
    fleet.lose_network("n2")

    api.delete(f"{CONFIGS}/x")

    soon(lambda: fleet.removals == ["n1"])
    soon(
        lambda: says(api, "x", "Ready", "False", "Deleting"),
        until=lambda seen: seen["message"] == "waiting for node n2 to confirm a complete cleanup",
    )
    fleet.stubborn.clear()
    gone(api, f"{CONFIGS}/x")
    assert fleet.removals == ["n1", "n2"]
    assert not happened(api, "RemovalNotProven")


@pytest.mark.usefixtures("operator")
def test_agents_that_do_not_answer_are_waited_for_until_the_deadline_and_asked_on(api: Api, fleet: Fleet) -> None:
    fleet.join("n1")
    fleet.stubborn.add("n1")
    api.apply(f"{CONFIGS}/x", config("x"))
    is_ready(api, "x", 1)

    started = time.monotonic()
    api.delete(f"{CONFIGS}/x")
    gone(api, f"{CONFIGS}/x")

    assert time.monotonic() - started > 6
    assert event(api, "RemovalNotProven")
    assert api.names(PROXIES) == ["n1"]
    fleet.stubborn.clear()
    soon(lambda: (api.names(PROXIES), api.names(DAEMONSETS)) == ([], []))
    assert fleet.removals == ["n1"]


@pytest.mark.usefixtures("patient")
def test_agents_that_never_ran_have_nothing_to_prove(api: Api, fleet: Fleet) -> None:
    fleet.die_before_joining("n1")
    api.apply(f"{CONFIGS}/x", config("x"))
    soon(lambda: api.get(f"{PROXIES}/n1"))

    api.delete(f"{CONFIGS}/x")

    gone(api, f"{CONFIGS}/x")  # long before the deadline


@pytest.mark.usefixtures("patient")
def test_nodes_go_over_to_the_next_that_selects_them_without_a_removal(api: Api, fleet: Fleet) -> None:
    fleet.join("n1")
    api.apply(f"{CONFIGS}/x", config("x", priority=1))
    is_ready(api, "x", 1)
    api.apply(f"{CONFIGS}/y", config("y"))
    says(api, "y", "Ready", "True", "NoNodes")

    api.delete(f"{CONFIGS}/x")

    gone(api, f"{CONFIGS}/x")
    is_ready(api, "y", 1)
    assert fleet.removals == []


def test_nodes_whose_proxyconfig_lost_its_finalizer_while_no_operator_ran_are_asked(
    api: Api, fleet: Fleet, account: Path, tmp_path: Path
) -> None:
    fleet.join("n1")
    api.apply(f"{CONFIGS}/x", config("x"))
    with OperatorProcess(account, tmp_path / "before.log"):
        is_ready(api, "x", 1)
    api.delete(f"{CONFIGS}/x")
    api.patch(f"{CONFIGS}/x", {"metadata": {"finalizers": None}})
    gone(api, f"{CONFIGS}/x")

    with OperatorProcess(account, tmp_path / "operator.log"):
        soon(lambda: (api.names(PROXIES), api.names(DAEMONSETS)) == ([], []))

    assert fleet.removals == ["n1"]
    assert names.CONFIG_LABEL not in api.have(f"{NODES}/n1")["metadata"]["labels"]


@pytest.mark.usefixtures("patient")
def test_finalizers_of_others_stay(api: Api, fleet: Fleet) -> None:
    fleet.join("n1")
    api.apply(f"{CONFIGS}/x", config("x"))
    is_ready(api, "x", 1)
    theirs = {"apiVersion": names.API_VERSION, "kind": "ProxyConfig", "metadata": {"name": "x", "finalizers": ["example.com/theirs"]}}
    api.apply(f"{CONFIGS}/x", theirs, manager="theirs")

    api.delete(f"{CONFIGS}/x")

    soon(lambda: api.have(f"{CONFIGS}/x")["metadata"]["finalizers"] == ["example.com/theirs"])
    assert fleet.removals == ["n1"]
