"""Which ProxyConfig a node belongs to, and what happens when that changes."""

from __future__ import annotations

import pytest
from tests.apiserver.expect import event, gone, is_ready, says, soon
from tests.apiserver.fleet import Fleet
from tests.apiserver.objects import CONFIGS, NODES, PODS, PROXIES, Api, config

from proxyconfig_api.objects import names

pytestmark = pytest.mark.apiserver

EDGE = {"matchLabels": {"pool": "edge"}}


@pytest.mark.usefixtures("patient")
def test_of_two_that_select_a_node_the_higher_priority_gets_it_and_both_say_so(api: Api, fleet: Fleet) -> None:
    fleet.join("n1", "n2")
    fleet.join("e1", pool="edge")
    api.apply(f"{CONFIGS}/all", config("all"))
    is_ready(api, "all", 3)

    api.apply(f"{CONFIGS}/edge", config("edge", nodeSelector=EDGE, priority=10))

    is_ready(api, "edge", 1)
    is_ready(api, "all", 2)
    assert api.have(f"{PROXIES}/e1")["spec"]["configName"] == "edge"
    assert api.have(f"{NODES}/e1")["metadata"]["labels"][names.CONFIG_LABEL] == "edge"
    overlapping = says(api, "all", "Overlapping", "True")
    assert overlapping["message"].startswith("spec.nodeSelector matches node e1 of edge, by spec.priority or age;")
    assert api.have(f"{CONFIGS}/all")["status"]["nodes"]["overlapping"] == 1
    soon(lambda: [pod["metadata"]["name"] for pod in api.every(PODS) if pod["spec"]["nodeName"] == "e1"] == ["agent-edge-e1"])
    assert fleet.removals == []  # it was handed over as it was


@pytest.mark.usefixtures("patient")
def test_of_two_with_equal_priority_the_older_keeps_its_nodes(api: Api, fleet: Fleet) -> None:
    fleet.join("n1")
    api.apply(f"{CONFIGS}/old", config("old"))
    is_ready(api, "old", 1)

    api.apply(f"{CONFIGS}/a-new-one", config("a-new-one"))

    late = says(api, "a-new-one", "Ready", "True", "NoNodes")
    assert late["message"] == "every node that spec.nodeSelector matches belongs to old"
    assert api.have(f"{PROXIES}/n1")["spec"]["configName"] == "old"


@pytest.mark.usefixtures("patient")
def test_a_node_that_nobody_selects_any_more_is_cleaned_and_then_released(api: Api, fleet: Fleet) -> None:
    fleet.join("e1", "e2", pool="edge")
    api.apply(f"{CONFIGS}/edge", config("edge", nodeSelector=EDGE))
    is_ready(api, "edge", 2)

    api.patch(f"{NODES}/e1", {"metadata": {"labels": {"pool": "other"}}})

    gone(api, f"{PROXIES}/e1")
    soon(lambda: names.CONFIG_LABEL not in api.have(f"{NODES}/e1")["metadata"]["labels"])
    assert fleet.removals == ["e1"]
    is_ready(api, "edge", 1)
    soon(lambda: api.have(f"{CONFIGS}/edge")["status"]["nodes"]["unassigned"] == 1)


@pytest.mark.usefixtures("patient")
def test_a_node_that_comes_back_while_it_is_cleaned_is_served_again(api: Api, fleet: Fleet) -> None:
    fleet.join("e1", pool="edge")
    api.apply(f"{CONFIGS}/edge", config("edge", nodeSelector=EDGE))
    is_ready(api, "edge", 1)
    fleet.stubborn.add("e1")
    api.patch(f"{NODES}/e1", {"metadata": {"labels": {"pool": "other"}}})
    soon(lambda: api.have(f"{PROXIES}/e1")["spec"]["action"] == "Remove")

    api.patch(f"{NODES}/e1", {"metadata": {"labels": {"pool": "edge"}}})

    is_ready(api, "edge", 1)
    assert api.have(f"{PROXIES}/e1")["spec"]["action"] == "Apply"
    assert "annotations" not in api.have(f"{PROXIES}/e1")["metadata"]


@pytest.mark.usefixtures("operator")
def test_a_node_whose_agent_does_not_prove_a_removal_is_reported_at_the_deadline_and_asked_on(api: Api, fleet: Fleet) -> None:
    fleet.join("e1", pool="edge")
    api.apply(f"{CONFIGS}/edge", config("edge", nodeSelector=EDGE))
    is_ready(api, "edge", 1)
    fleet.stubborn.add("e1")

    api.patch(f"{NODES}/e1", {"metadata": {"labels": {"pool": "other"}}})

    late = "cleanup of node e1 not confirmed: the agent has not confirmed it within 8 s"
    assert event(api, "RemovalNotProven")["note"].startswith(late)
    assert api.have(f"{PROXIES}/e1")["spec"]["action"] == "Remove"
    fleet.stubborn.clear()
    gone(api, f"{PROXIES}/e1")
    assert fleet.removals == ["e1"]


@pytest.mark.usefixtures("patient")
def test_a_node_that_is_deleted_no_longer_counts(api: Api, fleet: Fleet) -> None:
    fleet.join("n1", "n2")
    api.apply(f"{CONFIGS}/x", config("x"))
    is_ready(api, "x", 2)

    api.delete(f"{NODES}/n2")

    is_ready(api, "x", 1)  # its NodeProxy goes with it by its owner reference, which takes a controller that does not run here


@pytest.mark.usefixtures("patient")
def test_a_label_that_somebody_changes_is_put_right(api: Api, fleet: Fleet) -> None:
    fleet.join("n1")
    api.apply(f"{CONFIGS}/x", config("x"))
    is_ready(api, "x", 1)

    api.patch(f"{NODES}/n1", {"metadata": {"labels": {names.CONFIG_LABEL: "nonsense"}}})

    soon(lambda: api.have(f"{NODES}/n1")["metadata"]["labels"][names.CONFIG_LABEL] == "x")
