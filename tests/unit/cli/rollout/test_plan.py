"""What a plan says of nodes and waves: what the operator will do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.cli.rollout.clusters import NODES, PODS, Spec, complete, config, node, proxy, revision, rolled, stored

from proxyconfig_cli.rollout.nodes import Node
from proxyconfig_cli.rollout.plan import Cluster, Course, Plan, plan
from proxyconfig_cli.rollout.sentences import sentences

IPTABLES: Spec = {"mode": "iptables"}
EDGE, CORE = ({"matchLabels": {"pool": pool}} for pool in ("edge", "core"))


def planned(spec: Spec, cluster: Cluster) -> Plan:
    return plan(config(spec), cluster, {})


def said(spec: Spec, cluster: Cluster) -> list[str]:
    """Without the names of the new revisions."""
    return [each.replace(revision(spec), "R") for each in sentences(planned(spec, cluster), wide=False)]


def half_way(spec: Spec, **rollout: Any) -> Cluster:
    """The rollout of `spec`, which is of other pods, has reached the first two of the nodes; before, they had none."""
    cluster = complete({})
    status = {"revision": revision(spec), "podRevision": "p2", "previousRevision": revision({}), "previousPodRevision": PODS, **rollout}
    changed = {name: proxy(name, revision(spec), pods="p2") for name in NODES[:2]}
    return replace(
        cluster,
        before=rolled(spec, status),
        proxies={**cluster.proxies, **changed},
        revisions=(*cluster.revisions, *stored(spec, "p2")),
    )


def rolled_back(spec: Spec) -> Cluster:
    """The rollout of `spec` has failed, and all nodes are back."""
    return replace(half_way(spec, phase="RolledBack"), proxies=complete({}).proxies)


def test_a_first_installation_goes_to_all_nodes_at_once() -> None:
    assert said({}, Cluster(nodes=[node(each) for each in NODES])) == [
        "12 nodes join: n00, n01, n02, n03, n04 and 7 more",
        "Revision R goes to 12 nodes at once: there is nothing to go back to yet",
    ]


def test_a_change_during_a_first_installation_goes_to_all_nodes_at_once() -> None:
    cluster = replace(complete({}), before=rolled({}, {"revision": revision({}), "podRevision": PODS, "phase": "Progressing"}))
    assert planned({"conntrack": {"min": 1}}, cluster).course is Course.AT_ONCE


def test_a_change_goes_in_waves() -> None:
    assert said(IPTABLES, complete({})) == ["Revision R and new pods go to 12 nodes in 7 waves, which take 1m10s or longer"]


def test_one_is_singular() -> None:
    assert said(IPTABLES, complete({}, [node("n01")])) == ["Revision R and new pods go to 1 node in 1 wave, which takes 10s or longer"]


def test_what_changes_no_node_has_no_waves() -> None:
    found = planned({"removalPolicy": "Keep"}, complete({}))
    assert (found.course, found.waves, found.revision, found.replaces_pods) == (Course.NONE, 0, "", False)
    assert said({}, complete({})) == []


def test_pods_alone_go_in_waves_as_well() -> None:
    assert said({"agent": {"logLevel": "debug"}}, complete({})) == ["New pods go to 12 nodes in 7 waves, which take 1m10s or longer"]


def test_nodes_join_and_leave_with_the_selector() -> None:
    cluster = complete({"nodeSelector": EDGE}, [node(each) for each in NODES])
    cluster = replace(cluster, proxies={name: cluster.proxies[name] for name in NODES[:2]})
    found = planned({"nodeSelector": CORE}, cluster)
    assert (len(found.joining), found.leaving, found.nodes) == (10, ("n00", "n01"), 10)


def test_nodes_that_join_with_a_change_are_in_its_waves() -> None:
    cluster = complete({"nodeSelector": EDGE})
    cluster = replace(cluster, proxies={name: cluster.proxies[name] for name in NODES[:2]})
    assert said({"conntrack": {"min": 1}}, cluster)[-1] == "Revision R goes to 12 nodes in 7 waves, which take 1m10s or longer"


@pytest.mark.parametrize(
    ("rollout", "waves"),
    [
        ({}, 1 + 6),  # a canary, then 11 nodes, 2 at once
        ({"maxUnavailable": "100%"}, 2),
        ({"maxUnavailable": 1}, 12),
        ({"canary": {"nodes": 0}, "maxUnavailable": 12}, 1),
        ({"canary": {"nodes": "50%"}, "maxUnavailable": 3}, 2 + 2),
        ({"canary": {"selector": {"matchLabels": {"pool": "edge"}}}, "maxUnavailable": 5}, 1 + 2),
        ({"canary": {"selector": {"matchLabels": {"pool": "none"}}}, "maxUnavailable": 11}, 2),
        ({"topologyKey": "zone", "maxUnavailable": 4}, 1 + 3),
    ],
)
def test_waves_are_counted(rollout: dict[str, Any], waves: int) -> None:
    assert planned({**IPTABLES, "rollout": rollout}, complete({})).waves == waves


def test_the_waves_take_at_least_the_time_that_nodes_are_held() -> None:
    found = planned({**IPTABLES, "rollout": {"holdPeriod": "1m"}}, complete({}))
    assert found.least_s == found.waves * 60


def test_nodes_without_linux_are_not_counted() -> None:
    mixed = [node(name, system="windows" if index > 3 else "linux") for index, name in enumerate(NODES[:10])]
    assert said(IPTABLES, complete({}, mixed)) == ["Revision R and new pods go to 4 nodes in 4 waves, which take 40s or longer"]
    assert planned({}, Cluster(nodes=mixed)).joining == ("n00", "n01", "n02", "n03")


def test_nodes_that_another_one_has_by_priority_stay_with_it() -> None:
    edge = config({"nodeSelector": EDGE, "priority": 1}, "edge")
    cluster = complete({}, others=[edge])
    cluster = replace(cluster, proxies={**cluster.proxies, **{name: proxy(name, "edge-1", owner="edge") for name in NODES[:2]}})
    assert said(IPTABLES, cluster) == [
        "2 nodes stay with ProxyConfig edge, which comes first by spec.priority or age: n00, n01",
        "Revision R and new pods go to 10 nodes in 10 waves, which take 1m40s or longer",
    ]


def test_nodes_come_with_a_higher_priority() -> None:
    edge = config({"nodeSelector": EDGE, "priority": 1}, "edge")
    found = planned({"priority": 2}, complete({}, others=[edge]))
    assert (found.joining, found.elsewhere) == (("n00", "n01"), {})


def test_a_new_one_is_the_youngest_and_an_applied_one_keeps_its_age() -> None:
    other = config({"nodeSelector": EDGE}, "other", creationTimestamp="2026-01-02T00:00:00Z")
    assert planned({}, Cluster(others=[other], nodes=[node("n00")])).elsewhere == {"other": ("n00",)}
    older = config({}, creationTimestamp="2026-01-01T00:00:00Z")
    assert planned({}, Cluster(before=older, others=[other], nodes=[node("n00")])).elsewhere == {}


def test_one_that_is_being_deleted_gets_no_node() -> None:
    gone = config({}, deletionTimestamp="2026-01-01T00:00:00Z")
    assert said(IPTABLES, Cluster(before=gone, nodes=[node("n00")])) == ["default is being deleted, and gets no node"]


@pytest.mark.parametrize(
    ("spec", "nodes", "words"),
    [
        (
            {"nodeSelector": {"matchLabels": {"pool": "none"}}},
            [node("n00"), node("n01", system="windows")],
            "default gets no node: spec.nodeSelector (pool=none) selects none of 1 Linux node",
        ),
        ({}, [node("n00", system="windows")], "default gets no node: the cluster has none with Linux"),
    ],
)
def test_where_no_node_is_selected_the_selector_is_named(spec: Spec, nodes: list[Node], words: str) -> None:
    assert said(spec, Cluster(nodes=nodes)) == [words]


def test_where_another_one_has_all_nodes_it_is_named() -> None:
    assert said({}, Cluster(others=[config({"priority": 1}, "other")], nodes=[node("n00")])) == [
        "1 node stays with ProxyConfig other, which comes first by spec.priority or age: n00",
        "default gets no node: raise its spec.priority to take nodes from another ProxyConfig",
    ]


def test_while_paused_nothing_goes_to_nodes() -> None:
    (words,) = said({**IPTABLES, "rollout": {"paused": True}}, complete({}))
    go, then = words.split("; ")
    assert go == "Revision R and new pods go to no node while spec.rollout.paused is true"
    assert then == "when it is resumed, to 12 nodes in 7 waves, which take 1m10s or longer"
    first = said({"rollout": {"paused": True}}, Cluster(nodes=[node("n00")]))
    assert first[-1].endswith("when it is resumed, to 1 node at once: there is nothing to go back to yet")


def test_what_waited_while_paused_goes_when_it_is_resumed() -> None:
    waiting = {**IPTABLES, "rollout": {"paused": True}}
    before = rolled(waiting, {"revision": revision({}), "podRevision": PODS, "phase": "Complete"})
    assert said(IPTABLES, replace(complete({}), before=before)) == [
        "Revision R and new pods go to 12 nodes in 7 waves, which take 1m10s or longer"
    ]


def test_after_a_rollback_the_old_spec_changes_no_node() -> None:
    assert said({}, rolled_back(IPTABLES)) == ["Revision R goes to no node: 12 nodes have that already"]


def test_after_a_rollback_of_pods_the_old_spec_changes_no_node() -> None:
    debug: Spec = {"agent": {"logLevel": "debug"}}
    assert said({}, rolled_back(debug)) == ["Revision R goes to no node: 12 nodes have that already"]
    assert said({"conntrack": {"min": 1}}, rolled_back(debug)) == ["Revision R goes to 12 nodes in 7 waves, which take 1m10s or longer"]


def test_after_a_rollback_another_spec_is_compared_with_what_nodes_have() -> None:
    assert said({**IPTABLES, "conntrack": {"min": 1}}, rolled_back(IPTABLES)) == [
        "Revision R and new pods go to 12 nodes in 7 waves, which take 1m10s or longer"
    ]


def test_after_a_rollback_a_change_of_the_section_rollout_starts_nothing() -> None:
    assert said({**IPTABLES, "rollout": {"maxUnavailable": 3}}, rolled_back(IPTABLES)) == [
        "Revision R failed before, and goes to no node: kubectl proxyconfig rollout retry starts it again"
    ]


def test_a_new_attempt_in_the_file_starts_it_again() -> None:
    again = config({**IPTABLES, "rollout": {"maxUnavailable": 3}}, annotations={"proxyconfig.dev/retry": "2"})
    assert plan(again, rolled_back(IPTABLES), {}).course is Course.WAVES


def test_in_the_middle_of_a_rollout_the_old_spec_goes_back_without_waves() -> None:
    assert said({}, half_way(IPTABLES)) == [
        "Revision R and new pods go back to 2 nodes without waves, as it was complete before; 10 nodes have that already"
    ]


def test_in_the_middle_of_a_rollout_the_waves_that_are_left_count() -> None:
    assert said({**IPTABLES, "rollout": {"holdPeriod": "1m"}}, half_way(IPTABLES)) == [
        "Revision R and new pods go to 10 nodes in 5 waves, which take 5m or longer; 2 nodes have that already"
    ]


def test_in_the_middle_of_a_rollout_a_third_spec_has_nothing_to_add() -> None:
    assert said({"mode": "ipvs"}, half_way(IPTABLES)) == ["Revision R and new pods go to 12 nodes in 7 waves, which take 1m10s or longer"]


def test_waves_pass_over_nodes_that_are_down_or_not_ready() -> None:
    nodes = [node(name, ready="Unknown" if name == "n03" else "False" if name == "n04" else "True") for name in NODES[:6]]
    cluster = complete({}, nodes)
    unready = proxy("n05", revision({}), ready=False)
    (words,) = said(IPTABLES, replace(cluster, proxies={**cluster.proxies, "n05": unready}))
    go, over = words.split("; ")
    assert go == "Revision R and new pods go to 4 nodes in 4 waves, which take 40s or longer"
    assert over == "2 nodes that are down or not ready get that afterwards: n03, n05"


def test_where_no_node_is_ready_there_are_no_waves() -> None:
    assert said(IPTABLES, complete({}, [node("n00", ready="Unknown")])) == [
        "Revision R and new pods go to no node that is ready; 1 node that is down or not ready gets that afterwards: n00"
    ]
