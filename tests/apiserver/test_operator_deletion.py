"""Deleting a ProxyConfig: its kernel state goes first, with proof; a dead node holds nobody up."""

from __future__ import annotations

import time

import pytest
from tests.apiserver.expect import event, gone, is_ready, says, soon
from tests.apiserver.fleet import Fleet
from tests.apiserver.objects import CONFIGS, DAEMONSETS, NODES, PROXIES, Api, config
from tests.apiserver.process import OperatorProcess

from proxyconfig_api import names

pytestmark = pytest.mark.apiserver


def test_it_goes_when_every_node_has_proven_that_nothing_is_left(api: Api, fleet: Fleet, patient: OperatorProcess) -> None:
    fleet.join("n1", "n2")
    api.apply(f"{CONFIGS}/x", config("x"))
    is_ready(api, "x", 2)

    api.delete(f"{CONFIGS}/x")

    gone(api, f"{CONFIGS}/x")
    assert sorted(fleet.removals) == ["n1", "n2"]
    assert (api.names(PROXIES), api.names(DAEMONSETS)) == ([], [])
    assert not any(names.CONFIG_LABEL in each["metadata"].get("labels", {}) for each in api.every(NODES))
    assert "RemovalNotProven" not in patient.said()


@pytest.mark.usefixtures("patient")
def test_it_waits_for_the_last_node_and_says_for_whom(api: Api, fleet: Fleet) -> None:
    fleet.join("n1", "n2")
    fleet.stubborn.add("n2")
    api.apply(f"{CONFIGS}/x", config("x"))
    is_ready(api, "x", 2)

    api.delete(f"{CONFIGS}/x")

    soon(lambda: fleet.removals == ["n1"])
    waiting = soon(lambda: says(api, "x", "Ready", "False", "Deleting"), until=lambda seen: "1 nodes" in seen["message"])
    assert waiting["message"].endswith("to prove that nothing is left: n2")
    fleet.stubborn.clear()
    gone(api, f"{CONFIGS}/x")


@pytest.mark.usefixtures("patient")
def test_a_dead_node_is_not_waited_for(api: Api, fleet: Fleet) -> None:
    fleet.join("n1", "n2")
    api.apply(f"{CONFIGS}/x", config("x"))
    is_ready(api, "x", 2)
    fleet.die("n2")
    says(api, "x", "Ready", "False", "NodesUnreachable")

    api.delete(f"{CONFIGS}/x")

    gone(api, f"{CONFIGS}/x")  # long before the deadline, which is for nodes that could answer
    assert fleet.removals == ["n1"]
    assert event(api, "RemovalNotProven")["note"].startswith("n2 let go without proof")


@pytest.mark.usefixtures("operator")
def test_agents_that_never_answer_are_waited_for_until_the_deadline_only(api: Api, fleet: Fleet) -> None:
    fleet.join("n1")
    fleet.stubborn.add("n1")
    api.apply(f"{CONFIGS}/x", config("x"))
    is_ready(api, "x", 1)

    started = time.monotonic()
    api.delete(f"{CONFIGS}/x")
    gone(api, f"{CONFIGS}/x")

    assert time.monotonic() - started > 6
    assert api.names(PROXIES) == []
    assert event(api, "RemovalNotProven")


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


@pytest.mark.usefixtures("patient")
def test_a_finalizer_that_is_taken_away_by_hand_leaves_nothing_behind(api: Api, fleet: Fleet) -> None:
    fleet.join("n1")
    fleet.stubborn.add("n1")
    api.apply(f"{CONFIGS}/x", config("x"))
    is_ready(api, "x", 1)
    api.delete(f"{CONFIGS}/x")

    api.patch(f"{CONFIGS}/x", {"metadata": {"finalizers": None}})

    gone(api, f"{CONFIGS}/x")
    soon(lambda: (api.names(PROXIES), api.names(DAEMONSETS)) == ([], []))
    soon(lambda: names.CONFIG_LABEL not in api.have(f"{NODES}/n1")["metadata"].get("labels", {}))


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
