"""When a node counts as clean, when it is waited for, and when a ProxyConfig that is deleted no longer waits for it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple

import msgspec
import pytest
from tests.unit.operator.builders import INSTALLATION, NOW, P1, X1, config, labelled, node, pod, proxy, reported, revision, snapshot

from proxyconfig_api.objects import names
from proxyconfig_api.objects.nodeproxy import NodeProxy
from proxyconfig_operator.decide.agent_daemonset import render
from proxyconfig_operator.decide.plan import orphan_plan, plan_of
from proxyconfig_operator.decide.removal import NO_REVISION, UNPROVEN_ANNOTATION, Step, leaving_of, orphans_of, writes_of
from proxyconfig_operator.decide.snapshot import Snapshot
from proxyconfig_operator.model.objects import Config, DaemonSet, Node, Pod
from proxyconfig_operator.model.waits import Waits
from proxyconfig_operator.model.writes import Apply, Delete, Label, Resource
from proxyconfig_operator.status.conditions import deletion_updates
from proxyconfig_operator.watch.observations import Observations

OURS = (names.FINALIZER,)
DELETED = config(finalizers=OURS, deleted_ago_s=3600)
ELSEWHERE = config(finalizers=OURS, nodeSelector={"matchLabels": {"a": "b"}})
PROOF: dict[str, Any] = {"observedGeneration": 1, "removed": {"objects": 0}}
REPORTED = reported("x-1")
NO_IMAGE = {"name": "agent", "state": {"waiting": {"reason": "ErrImagePull"}}}
MINUTES = timedelta(minutes=1)


def requested(**status: Any) -> NodeProxy:
    found: dict[str, Any] = status or REPORTED
    return proxy("n1", action="Remove", **found)


def seen(heard: bool, removing_s: float | None) -> Waits:
    return Waits(removing_s={} if removing_s is None else {"n1": removing_s}, heard={"n1"} if heard else set())


class Case(NamedTuple):
    requested: bool
    heard: bool
    ready: str
    """Of the Node."""
    status: dict[str, Any]
    removing_s: float | None
    """Since this operator saw the request; None: it has just started, or there is none."""
    step: Step


TABLE = [
    pytest.param(Case(False, True, "True", REPORTED, None, Step.REQUEST), id="not-requested"),
    pytest.param(Case(False, False, "True", REPORTED, None, Step.REQUEST), id="not-requested-and-silent"),
    pytest.param(Case(False, True, "False", REPORTED, None, Step.REQUEST), id="not-requested-node-not-ready"),
    pytest.param(Case(False, False, "Unknown", REPORTED, None, Step.REQUEST), id="not-requested-everything-silent"),
    pytest.param(Case(False, True, "True", PROOF, None, Step.REQUEST), id="an-old-proof-without-a-request"),
    pytest.param(Case(True, True, "True", REPORTED, None, Step.WAIT), id="requested-by-the-operator-before"),
    pytest.param(Case(True, True, "True", REPORTED, 119, Step.WAIT), id="in-time"),
    pytest.param(Case(True, True, "True", REPORTED, 120, Step.OVERDUE), id="late"),
    pytest.param(Case(True, False, "True", REPORTED, 119, Step.WAIT), id="silent-on-a-ready-node"),
    pytest.param(Case(True, True, "False", REPORTED, 119, Step.WAIT), id="heard-on-a-node-without-network"),
    pytest.param(Case(True, False, "False", REPORTED, 119, Step.WAIT), id="silent-but-kubelet-answers"),
    pytest.param(Case(True, True, "False", REPORTED, 120, Step.OVERDUE), id="heard-on-a-node-without-network-late"),
    pytest.param(Case(True, True, "Unknown", REPORTED, 119, Step.WAIT), id="heard-though-kubelet-is-silent"),
    pytest.param(Case(True, True, "Unknown", REPORTED, 120, Step.OVERDUE), id="heard-though-kubelet-is-silent-late"),
    pytest.param(Case(True, False, "Unknown", REPORTED, None, Step.OVERDUE), id="neither-node-nor-agent"),
    pytest.param(Case(True, False, "Unknown", PROOF, 999, Step.PROVEN), id="proven-and-then-silent"),
    pytest.param(Case(True, True, "True", PROOF, None, Step.PROVEN), id="proven"),
    pytest.param(Case(True, True, "True", {"observedGeneration": 1, "removed": {"objects": 3}}, 1, Step.WAIT), id="something-left"),
    pytest.param(Case(True, True, "True", {"observedGeneration": 0, "removed": {"objects": 0}}, 1, Step.WAIT), id="proof-of-no-generation"),
]


@pytest.mark.parametrize("skew", [-10 * MINUTES, 0 * MINUTES, 10 * MINUTES], ids=["clock-10-minutes-behind", "clock-right", "clock-ahead"])
@pytest.mark.parametrize("leaves", [DELETED, ELSEWHERE], ids=["deleted", "unselected"])
@pytest.mark.parametrize("case", TABLE)
def test_a_node_is_waited_for_until_it_is_proven_clean_or_overdue(case: Case, leaves: Config, skew: timedelta) -> None:
    there = snapshot(
        [leaves],
        [node("n1", ready=case.ready, **{names.CONFIG_LABEL: "x"})],
        proxies=[proxy("n1", action="Remove" if case.requested else "Apply", **case.status)],
        pods=[pod("p", "n1")],
        waits=seen(case.heard, case.removing_s),
        now=NOW + skew,
    )

    (found,) = leaving_of(leaves, there)

    assert found.step is case.step


@pytest.mark.parametrize("ago_s", [1, 130, 3600, -300], ids=["just-now", "late", "long-ago", "operators-clock-behind"])
def test_however_long_ago_it_was_deleted_no_node_is_released_without_a_request(ago_s: float) -> None:
    deleted = config(finalizers=OURS, deleted_ago_s=ago_s)
    there = snapshot([deleted], [labelled("n1", "x")], proxies=[proxy("n1", **REPORTED)], pods=[pod("p", "n1")])

    plan = plan_of(deleted, there)

    assert plan.finish == ()
    (request,) = plan.move
    assert isinstance(request, Apply)
    assert request.body["spec"] == {"configName": "x", "revisionName": "x-1", "action": "Remove"}


class Time:
    s = 0.0

    def __call__(self) -> float:
        return self.s


def test_the_deadline_counts_from_when_this_operator_saw_the_request_and_anew_after_a_restart() -> None:
    clock = Time()
    first = Observations(120, clock)
    first.proxy_changed(None, proxy("n1", **REPORTED))
    clock.s = 3600
    first.proxy_changed(proxy("n1", **REPORTED), requested())
    clock.s = 3660
    assert first.waits().removing_s == {"n1": 60}

    restarted = Observations(120, clock)
    restarted.proxy_changed(None, requested())
    clock.s = 3700

    assert restarted.waits().removing_s == {"n1": 40}


def test_a_request_that_was_taken_back_and_made_again_is_another_one() -> None:
    clock = Time()
    seen_ = Observations(120, clock)
    seen_.proxy_changed(None, requested())
    seen_.proxy_changed(requested(), proxy("n1", **REPORTED))
    assert seen_.waits().removing_s == {}
    clock.s = 100
    seen_.proxy_changed(proxy("n1", **REPORTED), requested())

    assert seen_.waits().removing_s == {"n1": 0}


def test_what_is_overdue_is_noted_with_the_reason_and_asked_for_still() -> None:
    there = leaving_world(requested(), waits=seen(heard=True, removing_s=120))

    (found,) = leaving_of(DELETED, there)
    (write,) = writes_of(found, "x", there)

    assert isinstance(write, Apply)
    assert write.body["spec"] == {"configName": "x", "revisionName": "x-1", "podRevision": P1, "action": "Remove"}
    assert write.body["metadata"]["annotations"] == {UNPROVEN_ANNOTATION: "the agent has not confirmed it within 120 s"}


def test_one_that_is_noted_as_unproven_keeps_its_request_its_label_and_its_agents_when_the_proxyconfig_goes() -> None:
    there = leaving_world(noted(), waits=seen(heard=False, removing_s=None))

    plan = plan_of(DELETED, there)

    assert [each.step for each in plan.leaving] == [Step.UNPROVEN]
    assert plan.move == ()
    (last,) = plan.finish
    assert isinstance(last, Apply)
    assert last.body["metadata"]["finalizers"] == []


def test_an_orphan_is_released_when_its_agent_has_proven_it_after_all_and_the_daemonset_goes_last() -> None:
    late = noted(PROOF)

    released = orphan_plan(orphaned([labelled("n1", "x")], late))
    unlabelled = orphan_plan(orphaned([node("n1")], late))
    over = orphan_plan(orphaned([node("n1")]))

    assert released.move == (Label("n1", "uid-n1", {names.CONFIG_LABEL: None}),)
    assert unlabelled.move == (Delete(Resource.NODE_PROXY, "n1", "uid-proxy-n1"),)
    assert over.move == ()


@pytest.mark.parametrize("there", ["NodeProxy", "label alone"])
def test_an_orphan_that_nobody_has_asked_is_asked(there: str) -> None:
    """The finalizer was taken away, or the NodeProxy, while no operator ran."""
    proxies = [proxy("n1", revision=X1, **REPORTED)] if there == "NodeProxy" else []

    (request,) = orphan_plan(orphaned([labelled("n1", "x")], *proxies, pods=[pod("p", "n1")])).move

    assert isinstance(request, Apply)
    assert request.body["spec"] == {"configName": "x", "revisionName": X1 if proxies else NO_REVISION, "action": "Remove"}


def test_a_node_whose_nodeproxy_was_deleted_is_asked_with_the_newest_revision() -> None:
    there = snapshot([DELETED], [labelled("n1", "x")], pods=[pod("p", "n1")], revisions=[revision(X1, 1)])

    (request,) = plan_of(DELETED, there).move

    assert isinstance(request, Apply)
    assert request.body["spec"] == {"configName": "x", "revisionName": X1, "action": "Remove"}


@pytest.mark.parametrize(
    "agent",
    [
        pytest.param(None, id="no-pod"),
        pytest.param(pod("p", "n1", ready=False, phase="Pending", containerStatuses=None), id="no-container"),
        pytest.param(pod("p", "n1", ready=False, containerStatuses=[NO_IMAGE]), id="no-image"),
    ],
)
def test_where_no_agent_has_ever_run_there_is_nothing_to_prove(agent: Pod | None) -> None:
    there = snapshot([DELETED], [labelled("n1", "x")], proxies=[proxy("n1")], pods=[agent] if agent else [])

    (found,) = leaving_of(DELETED, there)

    assert found.step is Step.NOTHING


@pytest.mark.parametrize(
    "state",
    [
        pytest.param({"state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}, id="runs"),
        pytest.param({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 3}, id="crashes"),
        pytest.param({"state": {"terminated": {"exitCode": 1}}}, id="has-ended"),
    ],
)
def test_an_agent_that_has_run_and_never_reported_may_have_left_rules(state: dict[str, Any]) -> None:
    agent = pod("p", "n1", ready=False, containerStatuses=[{"name": "agent", **state}])

    (found,) = leaving_of(DELETED, snapshot([DELETED], [labelled("n1", "x")], proxies=[proxy("n1")], pods=[agent]))

    assert found.step is Step.REQUEST


def test_a_node_that_is_gone_has_nothing_left() -> None:
    (found,) = leaving_of(DELETED, snapshot([DELETED], [], proxies=[requested()]))

    assert found.step is Step.NOTHING


def test_orphans_of_several_proxyconfigs_that_are_gone_are_found_and_those_that_a_successor_takes_are_not() -> None:
    proxies = [proxy("n1", "a"), proxy("n2", "b"), proxy("n3", "a")]
    nodes = [labelled("n1", "a"), labelled("n2", "b"), labelled("n3", "a", pool="y")]
    successor = config("y", nodeSelector={"matchLabels": {"pool": "y"}})

    assert [each.node for each in orphans_of(snapshot([successor], nodes, proxies=proxies))] == ["n1", "n2"]


def leaving_world(asked: NodeProxy, *, waits: Waits) -> Snapshot:
    silent = node("n1", ready="True" if waits.heard else "Unknown", **{names.CONFIG_LABEL: "x"})
    return snapshot([DELETED], [silent], proxies=[asked], pods=[pod("p", "n1")], waits=waits)


def noted(status: dict[str, Any] = REPORTED) -> NodeProxy:
    return proxy("n1", action="Remove", annotations={UNPROVEN_ANNOTATION: "silent"}, **status)


def orphaned(nodes: list[Node], *proxies: NodeProxy, pods: list[Pod] | None = None) -> Snapshot:
    return snapshot([], nodes, proxies=proxies, pods=pods or [])


KEEPING = config(finalizers=OURS, deleted_ago_s=1, removalPolicy="Keep")
GIVING_BACK = proxy("n1", action="GiveBack", **REPORTED)
SWAP = Label("n1", "uid-n1", {names.CONFIG_LABEL: None, names.LEAVING_LABEL: "x"})
LEFT = node("n1", **{names.LEAVING_LABEL: "x"})


def agents(*, of_an_earlier_version: bool = False) -> DaemonSet:
    made = render(KEEPING, INSTALLATION)
    if of_an_earlier_version:
        del made["spec"]["template"]["spec"]["affinity"]
        made["spec"]["template"]["spec"]["nodeSelector"][names.CONFIG_LABEL] = "x"
    return msgspec.convert(made, DaemonSet)


def keeping(proxy: NodeProxy, there: Node, *, spec: Config = KEEPING, made: DaemonSet | None = None, **more: Any) -> Snapshot:
    return snapshot([spec], [there], proxies=[proxy], pods=[pod("p", "n1")], daemonsets=[made or agents()], **more)


def test_a_node_is_given_back_where_the_spec_keeps_the_rules() -> None:
    (request,) = plan_of(KEEPING, keeping(proxy("n1", **REPORTED), labelled("n1", "x"))).move

    assert isinstance(request, Apply)
    assert request.body["spec"]["action"] == "GiveBack"


@pytest.mark.parametrize(
    ("generation", "waited_s", "writes"),
    [
        pytest.param(1, 1.0, (SWAP,), id="when the agent has left what it needs"),
        pytest.param(2, 1.0, (), id="not before"),
        pytest.param(2, 120.0, (SWAP,), id="unless the agent says nothing"),
    ],
)
def test_kube_proxy_returns_while_the_agent_stays(generation: int, waited_s: float, writes: tuple[Label, ...]) -> None:
    asked = proxy("n1", action="GiveBack", generation=generation, **REPORTED)

    plan = plan_of(KEEPING, keeping(asked, labelled("n1", "x"), waits=seen(True, waited_s)))

    assert plan.move == writes
    assert [each.step for each in plan.leaving] == [Step.GIVE_BACK]


def test_the_agents_daemonset_learns_first_that_its_pods_stay_on_nodes_that_leave() -> None:
    there = keeping(GIVING_BACK, labelled("n1", "x"), made=agents(of_an_earlier_version=True))

    plan = plan_of(KEEPING, there)

    (made,) = plan.prepare
    assert isinstance(made, Apply)
    template = made.body["spec"]["template"]
    assert names.LEAVING_LABEL in str(template["spec"]["affinity"])
    assert template["metadata"] == agents().spec["template"]["metadata"], "no pod is replaced for it"
    assert plan.move == ()


@pytest.mark.parametrize("waited_s", [1.0, 99999.0])
def test_kube_proxy_is_waited_for_without_a_deadline_and_the_status_says_how_to_go_without_it(waited_s: float) -> None:
    there = keeping(GIVING_BACK, LEFT, waits=seen(True, waited_s))

    plan = plan_of(KEEPING, there)

    assert (plan.prepare, plan.move, plan.finish) == ((), (), ())
    assert [each.step for each in plan.leaving] == [Step.GIVE_BACK]
    assert plan.again_in_s is not None
    ready = deletion_updates(plan.leaving)[0]
    assert (ready.reason, ready.message) == (
        "GivingBack",
        "waiting for kube-proxy to serve node n1; set spec.removalPolicy to Remove to have the rules removed without it",
    )


def test_the_rules_go_without_a_kube_proxy_once_the_spec_does_not_keep_them_any_more() -> None:
    there = keeping(GIVING_BACK, LEFT, spec=DELETED)

    (request,) = plan_of(DELETED, there).move

    assert isinstance(request, Apply)
    assert request.body["spec"]["action"] == "Remove"


def test_what_is_being_removed_is_not_kept_any_more() -> None:
    plan = plan_of(KEEPING, keeping(requested(), labelled("n1", "x"), waits=seen(True, 1.0)))

    assert plan.move == ()
    assert [each.step for each in plan.leaving] == [Step.WAIT]


def test_a_dead_node_is_not_waited_for_until_kube_proxy_serves_it() -> None:
    dead = node("n1", ready="Unknown", **{names.LEAVING_LABEL: "x"})

    plan = plan_of(KEEPING, keeping(GIVING_BACK, dead, waits=seen(False, 1.0)))

    assert [each.step for each in plan.leaving] == [Step.OVERDUE]


def test_what_was_given_back_is_released_as_what_was_removed() -> None:
    proven = proxy("n1", action="GiveBack", **PROOF)

    assert plan_of(KEEPING, keeping(proven, LEFT)).move == (Label("n1", "uid-n1", {names.LEAVING_LABEL: None}),)
    assert plan_of(KEEPING, keeping(proven, node("n1"))).move == (Delete(Resource.NODE_PROXY, "n1", "uid-proxy-n1"),)


def test_a_node_goes_on_being_given_back_when_its_proxyconfig_is_gone() -> None:
    (found,) = orphans_of(snapshot([], [LEFT], proxies=[GIVING_BACK], pods=[pod("p", "n1")], waits=seen(True, 1.0)))

    assert found.step is Step.GIVE_BACK


def test_a_node_without_a_node_proxy_is_found_by_the_label_of_those_that_leave() -> None:
    (found,) = leaving_of(KEEPING, snapshot([KEEPING], [LEFT], pods=[pod("p", "n1")]))

    assert (found.node, found.step) == ("n1", Step.REQUEST)
