"""What a ProxyConfig's status says of its nodes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.operator.builders import NOW, P1, X1, condition, config, labelled, node, pod, proxy, reported, revision, snapshot

from proxyconfig_api.encoding import codec
from proxyconfig_api.objects import names
from proxyconfig_api.objects.proxyconfig import ProxyConfigStatus
from proxyconfig_api.status.conditions import ConditionStatus
from proxyconfig_api.status.rollout import RolloutStatus
from proxyconfig_operator.decide.plan import Plan, plan_of
from proxyconfig_operator.decide.removal import Leaving, Step
from proxyconfig_operator.decide.snapshot import Snapshot
from proxyconfig_operator.model.objects import Config, Node, Pod
from proxyconfig_operator.model.waits import Waits
from proxyconfig_operator.status.events import Event, events_of
from proxyconfig_operator.status.status import status_of, write_of

OURS = (names.FINALIZER,)
FULL = "image registry.test/agent:none not found"


def of(there: Snapshot, refusals: tuple[str, ...] = ()) -> ProxyConfigStatus:
    each = there.configs["x"]
    return status_of(each, there, plan_of(each, there), refusals)


def one_node(there: Node, agent: Pod | None, *, spec: dict[str, Any] | None = None, **status: Any) -> ProxyConfigStatus:
    """The status of a ProxyConfig with a single node."""
    proxies = [proxy(there.metadata.name, revision=X1, **status)]
    return of(
        snapshot(
            [config(finalizers=OURS, **(spec or {}))], [there], proxies=proxies, pods=[agent] if agent else [], revisions=[revision(X1, 1)]
        )
    )


def said(status: ProxyConfigStatus, kind: str) -> tuple[str, str, str]:
    (found,) = [each for each in status.conditions if each.type == kind]
    return found.status.value, found.reason, found.message


def test_all_ready_is_ready_and_nothing_else() -> None:
    status = one_node(labelled("n1", "x"), pod("p", "n1"), **reported(X1))

    assert said(status, "Ready") == ("True", "AllNodesReady", f"1/1 nodes are ready on {X1}")
    assert [each.type for each in status.conditions if each.status is ConditionStatus.TRUE] == ["Ready"]
    assert (status.summary, status.worst_nodes) == ("1/1", ())


def waiting(reason: str, message: str) -> dict[str, Any]:
    return {"phase": "Pending", "containerStatuses": [{"name": "agent", "state": {"waiting": {"reason": reason, "message": message}}}]}


CRASHED = {
    "name": "agent",
    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
    "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "message": "line\ncannot read the kubeconfig"}},
}


@pytest.mark.parametrize(
    ("there", "agent", "status", "counted", "words"),
    [
        pytest.param(
            node("n1", ready="Unknown"), pod("p", "n1"), reported(X1), "unreachable", "Kubelet: what kubelet says", id="silent-node"
        ),
        pytest.param(
            node("n1"), pod("p", "n1", **waiting("ErrImagePull", FULL)), {}, "failing", f"ErrImagePull: container agent: {FULL}", id="image"
        ),
        pytest.param(
            node("n1"),
            pod("p", "n1", ready=False, containerStatuses=[CRASHED]),
            reported(X1),
            "failing",
            "CrashLoopBackOff: container agent: back-off 10s after exit code 1: cannot read the kubeconfig",
            id="crash-loop",
        ),
        pytest.param(
            node("n1"),
            pod("p", "n1", phase="Failed", reason="Evicted", message="low on memory"),
            {},
            "failing",
            "Evicted: low on memory",
            id="evicted",
        ),
        pytest.param(
            node("n1"),
            pod("p", "n1"),
            reported(X1, ready=False, reason="ModeUnsupported", message="no nf_tables"),
            "failing",
            "ModeUnsupported: no nf_tables",
            id="agent-says-no",
        ),
        pytest.param(
            node("n1"),
            pod("p", "n1", ready=False),
            reported("", ready=False, reason="ModeUnsupported", message="no nf_tables") | {"observed_generation": 0},
            "failing",
            "ModeUnsupported: no nf_tables",
            id="agent-that-has-programmed-nothing-says-why",
        ),
        pytest.param(
            node("n1"),
            pod("p", "n1", ready=False),
            reported(X1),
            "",
            "AgentNotReady: the agent has started and has not programmed the node yet",
            id="restarted-agent-that-cannot-report",
        ),
        pytest.param(
            node("n1"),
            pod("p", "n1", **waiting("ContainerCreating", "")),
            {},
            "",
            "AgentStarting: container agent is being started",
            id="starting",
        ),
        pytest.param(node("n1"), None, {}, "", "AgentMissing: no agent pod has come to the node yet", id="no-pod"),
        pytest.param(node("n1"), pod("p", "n1"), {}, "", "NotReported: the agent runs and has not reported yet", id="never-reported"),
        pytest.param(node("n1"), pod("p", "n1"), reported("x-0"), "", f"Applying: has x-0; {X1} is requested", id="behind"),
        pytest.param(node("n1"), pod("p", "n1"), reported(X1, ready=False, reason="Starting"), "", "Starting: ", id="first-sync"),
    ],
)
def test_a_node_that_is_not_ready_is_counted_and_speaks_for_itself(
    there: Node, agent: Pod | None, status: dict[str, Any], counted: str, words: str
) -> None:
    told = one_node(there, agent, **status)

    assert said(told, "Ready")[0] == "False"
    assert said(told, "Ready")[2] == f"0/1 nodes are ready on {X1}; n1: {words}"
    counts = msgspec.structs.asdict(told.nodes)
    assert {key for key in ("failing", "unreachable") if counts[key]} == ({counted} if counted else set())
    assert said(told, "Degraded")[0] == ("True" if counted else "False")
    assert [f"{each.reason}: {each.message}" for each in told.worst_nodes] == [words]


def test_a_report_of_an_earlier_generation_is_not_up_to_date() -> None:
    told = one_node(node("n1"), pod("p", "n1"), generation=2, **reported(X1))

    assert (told.nodes.updated, told.nodes.ready) == (0, 0)


def test_a_degraded_node_is_ready_and_named() -> None:
    told = one_node(node("n1"), pod("p", "n1"), **reported(X1, degraded="QuarantinedServices"))

    assert said(told, "Ready")[0] == "True"
    assert said(told, "Degraded") == (
        "True",
        "NodesDegraded",
        "1 failing, 0 unreachable of 1 nodes; n1: QuarantinedServices: something was not done",
    )
    assert (told.nodes.ready, told.nodes.failing, [each.node for each in told.worst_nodes]) == (1, 1, ["n1"])


def test_what_is_empty_is_left_out_of_a_status() -> None:
    written = write_of(config(), ProxyConfigStatus(observed_generation=1)).body["status"]
    assert set(written) == {"observedGeneration", "nodes"}


def test_only_the_twenty_worst_nodes_are_named() -> None:
    nodes = [node(f"n{number:02}", ready="True" if number < 25 else "Unknown") for number in range(30)]

    told = of(snapshot([config(finalizers=OURS)], nodes))

    assert len(told.worst_nodes) == 20
    assert [each.node for each in told.worst_nodes[:6]] == ["n25", "n26", "n27", "n28", "n29", "n00"]


def test_kubelets_two_words_for_a_missing_image_do_not_flap() -> None:
    first = one_node(node("n1"), pod("p", "n1", **waiting("ErrImagePull", 'image "a" not found')))
    before = msgspec.structs.replace(config(finalizers=OURS), status=first)
    backed_off = pod("p", "n1", **waiting("ImagePullBackOff", 'Back-off pulling image "a"'))
    other = pod("p", "n1", **waiting("ImagePullBackOff", 'Back-off pulling image "b"'))

    assert of(snapshot([before], [node("n1")], pods=[backed_off])).worst_nodes == first.worst_nodes
    assert of(snapshot([before], [node("n1")], pods=[other])).worst_nodes[0].reason == "ImagePullBackOff"


def test_of_two_pods_the_one_that_stays_counts() -> None:
    there = snapshot(
        [config(finalizers=OURS)], [node("n1")], pods=[pod("old", "n1", ending=True), pod("new", "n1", **waiting("ErrImagePull", FULL))]
    )

    assert of(there).worst_nodes[0].reason == "ErrImagePull"


def test_times_of_conditions_stay_while_they_do_not_turn() -> None:
    early = one_node(labelled("n1", "x"), pod("p", "n1"), **reported(X1))
    before = msgspec.structs.replace(config(finalizers=OURS), status=early)
    later = snapshot(
        [before],
        [labelled("n1", "x")],
        proxies=[proxy("n1", revision=X1, **reported(X1))],
        pods=[pod("p", "n1")],
        revisions=[revision(X1, 1)],
    )
    object.__setattr__(later, "now", NOW.replace(hour=13))

    assert of(later) == early


def test_what_the_api_server_refuses_stalls() -> None:
    told = of(snapshot([config(finalizers=OURS)], [node("n1")]), ("the API server refuses DaemonSet x: no",))

    assert said(told, "Stalled") == ("True", "WriteRefused", "the API server refuses DaemonSet x: no")
    assert said(told, "Reconciling")[0] == "False"


def test_a_spec_that_cannot_be_understood_stalls_and_says_which_field() -> None:
    broken = Config.of({"metadata": {"name": "x", "uid": "u"}, "spec": {"mode": "ipvs", "iptables": {"localhostNodePorts": True}}})

    told = of(snapshot([broken]))

    assert said(told, "Stalled")[:2] == ("True", "InvalidSpec")
    assert "spec.iptables" in said(told, "Stalled")[2]
    assert said(told, "Stalled")[2].endswith("; its nodes keep what they have")


def test_no_node_is_ready_and_says_why() -> None:
    told = of(snapshot([config(finalizers=OURS, nodeSelector={"matchLabels": {"a": "b"}})], [node("n1")]))

    assert said(told, "Ready") == ("True", "NoNodes", "spec.nodeSelector matches no Linux node of this cluster")
    assert told.nodes.unassigned == 1


def test_what_is_applied_is_what_is_read_back() -> None:
    told = one_node(node("n1"), pod("p", "n1", **waiting("ErrImagePull", FULL)))

    body = write_of(config(), told).body

    assert Config.of({"metadata": {"name": "x", "uid": "u"}, "spec": {}, "status": body["status"]}).status == told


def test_transitions_are_announced_once() -> None:
    before, after = ProxyConfigStatus(), one_node(node("n1"), pod("p", "n1", **waiting("ErrImagePull", FULL)))

    assert [(each.kind, each.reason) for each in events_of(before, after, Plan())] == [
        ("Normal", "RollingOut"),
        ("Warning", "NodesFailing"),
    ]
    assert events_of(after, after, Plan()) == ()
    ready = one_node(labelled("n1", "x"), pod("p", "n1"), **reported(X1))
    assert [(each.kind, each.reason) for each in events_of(after, ready, Plan())] == [("Normal", "Ready"), ("Normal", "NotDegraded")]


def test_a_removal_is_requested_and_ends_and_what_is_not_proven_is_said() -> None:
    deadline, silence = "the agent has not confirmed it within 120 s", "neither the node nor its agent gives a sign of life"
    overdue = (Leaving("n1", Step.OVERDUE, reason=deadline), Leaving("n2", Step.OVERDUE, reason=deadline))

    assert removal_events(Plan(leaving=(Leaving("n1", Step.REQUEST), Leaving("n2", Step.WAIT)))) == [
        Event("Normal", "RemovalRequested", "node n1 asked to remove all rules")
    ]
    assert [
        (each.kind, each.reason, each.note.partition(". ")[0])
        for each in removal_events(Plan(leaving=(*overdue, Leaving("n3", Step.OVERDUE, reason=silence))))
    ] == [
        ("Warning", "RemovalNotProven", f"cleanup of node n3 not confirmed: {silence}"),
        ("Warning", "RemovalNotProven", f"cleanup of 2 nodes (n1, n2) not confirmed: {deadline}"),
    ]
    assert removal_events(Plan(finish=write_something())) == [Event("Normal", "Removed", "released, every node has confirmed its cleanup")]
    assert removal_events(Plan(finish=write_something(), leaving=(Leaving("n1", Step.UNPROVEN),))) == [
        Event("Warning", "Removed", "released, cleanup of node n1 not confirmed")
    ]


def removal_events(plan: Plan) -> list[Event]:
    return list(events_of(ProxyConfigStatus(), ProxyConfigStatus(), plan, deleting=True))


def write_something() -> Any:
    return (write_of(config(), ProxyConfigStatus()),)


def test_a_proxyconfig_that_is_deleted_says_for_which_nodes_it_waits_and_which_have_not_confirmed() -> None:
    deleted = config(finalizers=OURS, deleted_ago_s=3600)
    asked = [proxy("n1", action="Remove", **reported(X1)), proxy("n2", action="Remove", **reported(X1))]
    gone_silent = node("n2", ready="Unknown")

    told = of(snapshot([deleted], [labelled("n1", "x"), gone_silent], proxies=asked, waits=Waits(heard={"n1"})))

    assert said(told, "Ready") == (
        "False",
        "Deleting",
        "waiting for node n1 to confirm a complete cleanup; cleanup of node n2 not confirmed",
    )


def test_a_deletion_that_the_api_server_refuses_says_so() -> None:
    told = of(snapshot([config(finalizers=OURS, deleted_ago_s=1)]), ("the API server refuses NodeProxy n1: no",))

    assert said(told, "Ready")[2] == "the API server refuses NodeProxy n1: no"


@pytest.mark.parametrize(
    ("ready", "status", "waits", "words"),
    [
        pytest.param("True", reported(X1), Waits(), ("NodesFailing", "AgentSilent", "no heartbeat from the agent"), id="silent"),
        pytest.param("True", {}, Waits(), ("NodesFailing", "NotReported", "no report from the agent since its pod started"), id="mute"),
        pytest.param("True", {}, Waits(heard={"n1"}), ("RollingOut", "NotReported", "the agent runs and has not reported yet"), id="new"),
        pytest.param("True", reported("x-0"), Waits(heard={"n1"}), ("RollingOut", "Applying", "has x-0"), id="applying"),
        pytest.param("True", reported("x-0"), Waits(heard={"n1"}, late={"n1"}), ("NodesFailing", "NotApplied", "has x-0"), id="late"),
        pytest.param(
            "False",
            reported(X1, ready=False, reason="ModeUnsupported", message="no nf_tables"),
            Waits(heard={"n1"}),
            ("NodesFailing", "ModeUnsupported", "no nf_tables"),
            id="without-network-the-agent-speaks",
        ),
    ],
)
def test_a_node_whose_agent_is_not_heard_or_late_is_not_ready(
    ready: str, status: dict[str, Any], waits: Waits, words: tuple[str, str, str]
) -> None:
    members = [labelled("n1", "x")] if ready == "True" else [node("n1", ready=ready, **{names.CONFIG_LABEL: "x"})]

    told = of(
        snapshot(
            [config(finalizers=OURS)],
            members,
            proxies=[proxy("n1", revision=X1, **status)],
            pods=[pod("p", "n1")],
            revisions=[revision(X1, 1)],
            waits=waits,
        )
    )

    holds, reason, message = said(told, "Ready")
    assert (holds, reason) == ("False", words[0])
    assert f"n1: {words[1]}: {words[2]}" in message
    assert said(told, "Degraded")[0] == str(words[0] == "NodesFailing")


def test_a_node_that_waits_for_its_network_serves_if_its_agent_says_so() -> None:
    told = one_node(node("n1", ready="False", **{names.CONFIG_LABEL: "x"}), pod("p", "n1"), **reported(X1))

    assert said(told, "Ready")[:2] == ("True", "AllNodesReady")


def test_nodes_of_another_system_are_not_spoken_of() -> None:
    told = of(snapshot([config(finalizers=OURS)], [node("win-1", system="windows")]))

    assert said(told, "Ready") == ("True", "NoNodes", "spec.nodeSelector matches no Linux node of this cluster")
    assert (told.nodes.desired, told.nodes.unassigned, told.worst_nodes) == (0, 0, ())


def test_modes_are_counted_by_what_runs_on_the_nodes() -> None:
    ran = {"n1": "nftables", "n2": "iptables", "n3": "nftables", "n4": ""}
    there = snapshot(
        [config(mode="auto", finalizers=OURS)],
        [labelled(name, "x") for name in ran],
        proxies=[proxy(name, revision=X1, **reported(X1), mode={"desired": "auto", "effective": mode}) for name, mode in ran.items()],
        revisions=[revision(X1, 1)],
    )
    status = of(there)
    assert (status.modes, status.mode_summary) == ({"nftables": 2, "iptables": 1}, "nftables: 2, iptables: 1")
    assert write_of(there.configs["x"], status).body["status"]["modes"] == status.modes


def test_modes_are_left_out_while_none_runs() -> None:
    there = snapshot([config(finalizers=OURS)], [labelled("n1", "x")], revisions=[revision(X1, 1)])
    assert not {"modes", "modeSummary"} & write_of(there.configs["x"], of(there)).body["status"].keys()


def changing(phase: str, reason: str = "", **more: Any) -> dict[str, Any]:
    """What an agent says of a change from x-0 to the revision that it was given, as long as it has not committed it."""
    failed = {"name": "dns/UDP", "result": "Failed", "message": "no answer"}
    change = {"revision": X1, "phase": phase, "reason": reason, "probes": [failed] if reason else []}
    return reported("x-0") | {"change": change} | more


@pytest.mark.parametrize(
    ("told", "reason", "message"),
    [
        pytest.param(changing("RolledBack", "ProbesFailed"), "ProbesFailed", "probe dns/UDP failed: no answer", id="gone-back"),
        pytest.param(
            changing("Probing", "ProbesFailed", observedRevision=X1),
            "ProbesFailed",
            "probe dns/UDP failed: no answer",
            id="kept-what-fails",
        ),
        pytest.param(changing("Holding", observedGeneration=0), "Holding", f"runs {X1}, and can still go back at once", id="holding"),
    ],
)
def test_a_node_in_a_change_is_described_by_its_change(told: dict[str, Any], reason: str, message: str) -> None:
    status = one_node(labelled("n1", "x"), pod("p", "n1"), **told)

    assert [(each.reason, each.message) for each in status.worst_nodes] == [(reason, message)]


def rolling(phase: str, **more: Any) -> ProxyConfigStatus:
    """The status of a ProxyConfig whose rollout is in that phase, on a node that is well."""
    each = config(finalizers=OURS)
    told = codec.decode(
        {"revision": X1, "previousRevision": "x-0", "podRevision": P1, "previousPodRevision": P1}
        | {"phase": phase, "message": "node n1: bad", "aborted": 3}
        | more,
        RolloutStatus,
    )
    where = "x-0" if phase in ("RollingBack", "RolledBack") else X1
    there = snapshot(
        [Config(each.metadata, each.spec, ProxyConfigStatus(rollout=told))],
        [labelled("n1", "x")],
        proxies=[proxy("n1", revision=where, **reported(where))],
        pods=[pod("p", "n1")],
        revisions=[revision("x-0", 1), revision(X1, 2)],
    )
    return of(there)


def test_a_rollout_that_has_failed_is_stalled_with_the_words_of_the_node() -> None:
    status = rolling("RolledBack")

    assert said(status, "Stalled")[:2] == ("True", "RolloutFailed")
    assert said(status, "Stalled")[2].startswith("node n1: bad; nodes are back on x-0, 3 never got")
    assert said(status, "Ready")[:2] == ("False", "RolloutFailed")
    assert said(status, "Reconciling")[0] == "False"


def test_a_rollout_whose_last_wave_is_held_is_reconciling() -> None:
    status = rolling("Progressing")

    assert said(status, "Ready")[0] == "True"
    assert said(status, "Reconciling")[:2] == ("True", "RollingOut")


def test_each_step_of_a_rollout_is_an_event() -> None:
    def told(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
        old, new = (
            ProxyConfigStatus(revision=X1, rollout=codec.decode({"revision": X1} | rollout, RolloutStatus)) for rollout in (before, after)
        )
        return [event.reason for event in events_of(old, new, Plan())]

    assert told({"wave": 1, "waves": 3}, {"wave": 2, "waves": 3}) == ["WaveStarted"]
    assert told({"wave": 2, "waves": 3}, {"wave": 2, "waves": 3}) == []
    assert told({"wave": 3, "waves": 3}, {"phase": "Complete", "wave": 3, "waves": 3}) == ["RolloutComplete"]
    assert told({}, {"phase": "RollingBack"}) == ["RollingBack"]
    assert told({"phase": "RollingBack"}, {"phase": "RolledBack"}) == ["RolledBack"]
    for failed in ("Failed", "RollingBack", "RolledBack"):
        assert told({"phase": failed, "wave": 1, "waves": 3}, {"wave": 1, "waves": 3}) == ["WaveStarted"]
    assert told({"phase": "Paused", "wave": 2, "waves": 3}, {"wave": 2, "waves": 3}) == []


def test_nodes_with_another_proxy_are_counted_by_what_they_have() -> None:
    found = {"n1": "KubeProxyRunning", "n2": "KubeProxyRulesLeft", "n3": "KubeProxyRunning"}
    proxies = [
        proxy(name, revision=X1, conditions=[condition("OtherProxyPresent", holds=True, reason=reason)]) for name, reason in found.items()
    ]
    nodes = [labelled(name, "x") for name in (*found, "n4")]

    status = of(snapshot([config(finalizers=OURS)], nodes, proxies=proxies, revisions=[revision(X1, 1)]))

    words = "KubeProxyRulesLeft on node n2; KubeProxyRunning on 2 nodes (n1, n3)"
    assert said(status, "OtherProxyPresent") == ("True", "NodesHaveOtherProxy", words)


def test_a_node_that_waits_for_the_end_of_kube_proxy_is_on_its_way() -> None:
    status = one_node(labelled("n1", "x"), pod("p", "n1"), **reported(X1, ready=False, reason="WaitingForKubeProxy", message="it runs"))

    assert said(status, "Ready")[:2] == ("False", "RollingOut")
    assert "n1: WaitingForKubeProxy: it runs" in said(status, "Ready")[2]
    assert said(status, "Degraded")[0] == "False"


def test_what_observing_nodes_find_is_put_together() -> None:
    differs = [{"service": "shop/web", "message": "a pod to ClusterIP 10.96.0.1:80: kube-proxy drops; the agent rejects"}]
    found = {
        "n1": {"score": "100%", "flows": 60, "matching": 60, "differing": 0, "services": []},
        "n2": {"score": "90%", "flows": 40, "matching": 36, "differing": 1, "services": differs},
        "n3": None,
    }
    proxies = [proxy(name, revision=X1, shadow=shadow) for name, shadow in found.items()]

    shadow = of(
        snapshot([config(finalizers=OURS)], [labelled(name, "x") for name in found], proxies=proxies, revisions=[revision(X1, 1)])
    ).shadow

    assert shadow is not None
    assert (shadow.nodes, shadow.score, shadow.flows, shadow.matching, shadow.differing) == (2, "96%", 100, 96, 1)
    assert [(each.service, each.message) for each in shadow.services] == [("shop/web", f"n2: {differs[0]['message']}")]
