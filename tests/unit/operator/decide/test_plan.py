"""What is written for a ProxyConfig, and that doing it is enough."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.operator.builders import (
    INSTALLATION,
    NOW,
    P1,
    X1,
    config,
    labelled,
    node,
    pod,
    pod_revision,
    proxy,
    reported,
    revision,
    snapshot,
)
from tests.unit.operator.cluster import Cluster

from proxyconfig_api.objects import names
from proxyconfig_api.status.rollout import RolloutPhase, RolloutStatus
from proxyconfig_operator.decide import agent_daemonset
from proxyconfig_operator.decide.plan import Plan, orphan_plan, plan_of
from proxyconfig_operator.decide.removal import Step
from proxyconfig_operator.decide.snapshot import Snapshot
from proxyconfig_operator.model.objects import Config, DaemonSet, Node
from proxyconfig_operator.model.waits import Waits
from proxyconfig_operator.model.writes import Apply, Delete, Label, Resource, Write
from proxyconfig_operator.rollout.admission import BATCH

pytestmark = pytest.mark.usefixtures("no_userspace")

OURS = (names.FINALIZER,)


def agents(each: Config) -> DaemonSet:
    """The DaemonSet as it was rendered."""
    manifest = agent_daemonset.render(each, INSTALLATION)
    return msgspec.convert(manifest | {"metadata": manifest["metadata"] | {"uid": "uid-agents"}}, DaemonSet)


def settled(each: Config, *others: Node, **more: Any) -> Snapshot:
    """A snapshot in which node n1 has everything of `each` as it is."""
    return snapshot(
        [each],
        [labelled("n1", "x"), *others],
        proxies=[proxy("n1", revision=X1, pods=P1, **reported(X1)), *more.pop("proxies", ())],
        pods=[pod("p1", "n1", pods=P1)],
        revisions=[revision(X1, 1), pod_revision(P1)],
        daemonsets=[agents(each)],
        **more,
    )


def complete(revision: str) -> RolloutStatus:
    """The rollout of a cluster that had the revision before there was a status of it."""
    return RolloutStatus(
        revision=revision,
        pod_revision=P1,
        previous_revision=revision,
        previous_pod_revision=P1,
        phase=RolloutPhase.COMPLETE,
        updated=1,
        started_at=NOW,
        message="complete",
    )


def planned(there: Snapshot) -> Plan:
    return plan_of(there.configs["x"], there)


def test_a_new_one_is_held_by_a_finalizer_and_gets_a_revision_and_agents_before_any_node_is_touched() -> None:
    plan = planned(snapshot([config()], [node("n1")]))

    assert [kind_of(each) for each in plan.prepare] == [
        *(Resource.PROXY_CONFIG, Resource.REVISION),
        *(Resource.REVISION, Resource.DAEMON_SET),
    ]
    assert [kind_of(each) for each in plan.move] == [Resource.NODE_PROXY, Resource.NODE]


def test_converged_is_silent() -> None:
    assert planned(settled(config(finalizers=OURS))) == Plan(rollout=complete(X1))


def test_a_node_that_was_made_anew_gets_its_nodeproxy_anew() -> None:
    there = settled(config(finalizers=OURS))
    reborn = msgspec.structs.replace(there.nodes["n1"], metadata=msgspec.structs.replace(there.nodes["n1"].metadata, uid="another"))

    plan = planned(snapshot([config(finalizers=OURS)], [reborn], proxies=there.proxies.values(), revisions=there.revisions.values()))

    (write,) = plan.move
    assert isinstance(write, Apply)
    assert write.body["metadata"]["ownerReferences"][0]["uid"] == "another"


def test_nodes_change_in_batches() -> None:
    many = [node(f"n{number:03}") for number in range(BATCH + 1)]

    plan = planned(snapshot([config()], many))

    assert len(plan.move) == 2 * BATCH
    assert plan.again_in_s == 0


@pytest.mark.parametrize("spec", [{"rollout": {"paused": True}}, {"mode": "userspace"}], ids=["paused", "mode-not-available"])
def test_while_the_spec_is_not_followed_members_keep_even_a_revision_in_between(spec: dict[str, Any]) -> None:
    each = config(finalizers=OURS, **spec)
    behind = proxy("n1", revision="x-old", **reported("x-old"))

    known = [revision("x-old", 1), revision("x-new", 2), pod_revision(P1)]
    there = snapshot([each], [labelled("n1", "x"), node("n2")], proxies=[behind], revisions=known)
    plan = planned(there)

    assert [(write.name, spec_of(write)["revisionName"]) for write in plan.move if isinstance(write, Apply) and "spec" in write.body] == [
        ("n2", "x-old")
    ]


def test_a_node_that_is_no_longer_selected_is_asked_to_remove_its_rules() -> None:
    there = settled(config(finalizers=OURS, nodeSelector={"matchLabels": {"pool": "edge"}}))

    (write,) = planned(there).move

    assert spec_of(write) == {"configName": "x", "revisionName": X1, "action": "Remove"}


def test_a_proven_node_is_unlabelled_before_its_nodeproxy_goes() -> None:
    """Else a label without a NodeProxy would look like one whose NodeProxy somebody has deleted."""
    proven = proxy("n1", action="Remove", observedGeneration=1, removed={"objects": 0})
    elsewhere = config(finalizers=OURS, nodeSelector={"matchLabels": {"a": "b"}})

    assert planned(snapshot([elsewhere], [labelled("n1", "x")], proxies=[proven])).move == (
        Label("n1", "uid-n1", {names.CONFIG_LABEL: None}),
    )
    assert planned(snapshot([elsewhere], [node("n1")], proxies=[proven])).move == (Delete(Resource.NODE_PROXY, "n1", "uid-proxy-n1"),)


def test_a_proof_of_an_earlier_generation_proves_nothing() -> None:
    asked = proxy("n1", action="Remove", generation=2, observedGeneration=1, removed={"objects": 0})

    plan = planned(snapshot([config(finalizers=OURS, nodeSelector={"matchLabels": {"a": "b"}})], [labelled("n1", "x")], proxies=[asked]))

    assert [each.step for each in plan.leaving] == [Step.WAIT]


def test_a_deleted_one_goes_when_the_last_node_is_released() -> None:
    plan = planned(snapshot([config(finalizers=OURS, deleted_ago_s=1)], [node("n1")]))

    (last,) = plan.finish
    assert isinstance(last, Apply)
    assert last.body["metadata"]["finalizers"] == []


def test_the_agents_of_a_deleted_one_go_with_it_and_those_of_one_that_is_no_more_as_well() -> None:
    deleted = config(finalizers=OURS, deleted_ago_s=1)
    retired = Delete(Resource.DAEMON_SET, "proxyconfig-x", "uid-agents")

    assert plan_of(deleted, snapshot([deleted], daemonsets=[agents(deleted)])).move == (retired,), "before the ProxyConfig itself"
    assert orphan_plan(snapshot([config("y")], daemonsets=[agents(deleted), agents(config("y"))])).move == (retired,)


@pytest.mark.parametrize(
    ("on", "deleting_s", "goes"),
    [
        pytest.param("n1", 239, False, id="its pod is still to end"),
        pytest.param("n1", 240, True, id="too late"),
        pytest.param("dead", 1, True, id="nobody can end it"),
    ],
)
def test_a_deleted_one_waits_until_its_agents_have_ended(on: str, deleting_s: float, goes: bool) -> None:
    nodes = [node("n1"), node("dead", ready="Unknown")]
    deleted, waits = config(finalizers=OURS, deleted_ago_s=3600), Waits(deleting_s={"x": deleting_s})

    plan = planned(snapshot([deleted], nodes, pods=[pod("p", on, ending=True)], waits=waits))

    assert bool(plan.finish) is goes
    assert plan.again_in_s == (None if goes else 1)


def test_a_deleted_one_looks_again_when_the_first_node_is_overdue() -> None:
    waits = Waits(removing_s={"n1": 100, "n2": 10}, heard={"n1", "n2"})
    asked = [proxy(name, action="Remove", observedGeneration=1) for name in ("n1", "n2")]

    plan = planned(
        snapshot([config(finalizers=OURS, deleted_ago_s=1)], [labelled("n1", "x"), labelled("n2", "x")], proxies=asked, waits=waits)
    )

    assert (plan.finish, plan.again_in_s) == ((), 20)


def test_a_deleted_one_waits_until_its_successor_has_taken_over() -> None:
    deleted, successor = config(finalizers=OURS, deleted_ago_s=1), config("y", finalizers=OURS)

    waiting = snapshot([deleted, successor], [labelled("n1", "x")], proxies=[proxy("n1")])
    taken = snapshot([deleted, successor], [labelled("n1", "y")], proxies=[proxy("n1", "y", "y-1")])

    assert (plan_of(deleted, waiting).finish, plan_of(deleted, waiting).move) == ((), ())
    assert plan_of(deleted, taken).finish


def test_a_successor_that_cannot_serve_takes_nothing_over() -> None:
    deleted, refused = config(finalizers=OURS, deleted_ago_s=1), config("y", finalizers=OURS, mode="userspace")
    there = snapshot([deleted, refused], [labelled("n1", "x")], proxies=[proxy("n1", **reported("x-1"))])

    assert [spec_of(write)["action"] for write in plan_of(deleted, there).move] == ["Remove"]
    assert plan_of(refused, there).move == ()


def test_a_node_keeps_its_old_one_while_the_one_that_wins_it_cannot_serve() -> None:
    old, refused = config(finalizers=OURS), config("y", finalizers=OURS, mode="userspace", priority=1)
    there = snapshot([old, refused], [labelled("n1", "x")], proxies=[proxy("n1", **reported("x-1"))], daemonsets=[agents(old)])

    assert plan_of(old, there).move == ()
    assert plan_of(refused, there).move == ()


def test_nodes_of_one_that_is_no_more_are_released_where_no_agent_has_run() -> None:
    there = snapshot(
        [config("y", nodeSelector={"matchLabels": {"a": "b"}})], [labelled("n1", "x"), node("n2")], proxies=[proxy("n1"), proxy("n2")]
    )

    assert [each.node for each in orphan_plan(there).move if isinstance(each, Label)] == ["n1"]
    assert [each.name for each in orphan_plan(there).move if isinstance(each, Delete)] == ["n2"]


specs = st.fixed_dictionaries(
    {},
    optional={
        "removalPolicy": st.sampled_from(["Remove", "Keep"]),
        "mode": st.sampled_from(["nftables", "auto", "userspace"]),
        "rollout": st.fixed_dictionaries({"paused": st.booleans()}),
        "priority": st.integers(0, 2),
        "conntrack": st.builds(lambda count: {"min": count}, st.integers(1, 3)),
        "nodeSelector": st.sampled_from([{}, {"matchLabels": {"pool": "edge"}}, {"matchLabels": {"pool": "core"}}]),
    },
)
steps = st.one_of(
    st.tuples(st.just("apply"), st.sampled_from(["x", "y"]), specs),
    st.tuples(st.just("delete"), st.sampled_from(["x", "y"]), st.none()),
    st.tuples(st.just("join"), st.sampled_from(["n1", "n2", "n3"]), st.sampled_from(["edge", "core", "other"])),
    st.tuples(st.just("leave"), st.sampled_from(["n1", "n2", "n3"]), st.none()),
    st.tuples(st.just("half a pass"), st.integers(0, 5), st.none()),
    st.tuples(st.just("agents"), st.none(), st.none()),
)


@settings(max_examples=60)
@given(st.lists(steps, max_size=12))
def test_whatever_happened_and_wherever_it_was_interrupted_it_converges(happened: list[tuple[str, Any, Any]]) -> None:
    cluster = Cluster()
    for step, subject, value in happened:
        cluster.do(step, subject, value)

    cluster.settle()

    there = cluster.snapshot()
    for name, placed in there.proxies.items():
        winner = there.assignment.winners.get(name)
        assert winner, f"{name} belongs to nobody and has {placed.spec}"
        if there.targets[winner].revision:
            assert placed.spec.config_name == winner
            assert there.nodes[name].metadata.labels == {**(there.nodes[name].metadata.labels or {}), names.CONFIG_LABEL: winner}
    for name, winner in there.assignment.winners.items():
        assert not there.targets[winner].revision or name in there.proxies
    assert not any(each.deleting for each in there.configs.values())


def kind_of(write: Write) -> Resource:
    return Resource.NODE if isinstance(write, Label) else write.resource


def spec_of(write: Write) -> dict[str, Any]:
    assert isinstance(write, Apply)
    spec: dict[str, Any] = write.body["spec"]
    return spec
