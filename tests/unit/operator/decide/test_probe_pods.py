"""Which changes a pod probes, when it is made, waited for and deleted, and what the agent gets to know of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.operator.builders import INSTALLATION, config, labelled, node, pod, pod_revision, proxy, reported, snapshot

from proxyconfig_api.objects import names
from proxyconfig_api.objects.nodeproxy import ProbePod
from proxyconfig_api.objects.revision import revision_of
from proxyconfig_api.status.rollout import RolloutPhase, RolloutStatus
from proxyconfig_operator.decide import agent_daemonset
from proxyconfig_operator.decide.plan import Plan, plan_of
from proxyconfig_operator.decide.snapshot import Snapshot
from proxyconfig_operator.model.objects import Config, DaemonSet, Pod, Revision
from proxyconfig_operator.model.probe_pods import START_S
from proxyconfig_operator.model.waits import Waits
from proxyconfig_operator.model.writes import Apply, Delete, Resource, Write

NODES = ("n1", "n2")
NAME = "proxyconfig-probe-n1"
BEFORE: dict[str, Any] = {"agent": {"image": "registry.test/agent:1"}}
AFTER: dict[str, Any] = {"mode": "iptables", "rollout": {"probes": {"pod": True}}, **BEFORE}
OLD = revision_of("x", config(**BEFORE).spec)


def stored(each: Config) -> Revision:
    """The revision of its spec."""
    made, metadata = revision_of("x", each.spec), {"uid": "u", "labels": {names.CONFIG_LABEL: "x"}}
    return msgspec.convert({"metadata": metadata | {"name": made.name}, "revision": 1, "data": made.content}, Revision)


def agents(each: Config) -> DaemonSet:
    manifest = agent_daemonset.render(each, INSTALLATION)
    return msgspec.convert(manifest | {"metadata": manifest["metadata"] | {"uid": "uid-agents"}}, DaemonSet)


def changing(
    after: dict[str, Any], *probe_pods: Pod, waited_s: float | None = None, before: dict[str, Any] | None = None, **status: Any
) -> Snapshot:
    """Both nodes have the revision of before, on pods that can run both, and the spec is that of after. `waited_s`, and `status`: of n1."""
    old, new = config(**(BEFORE if before is None else before)), config(finalizers=(names.FINALIZER,), **after)
    revision = revision_of("x", old.spec).name
    pods = agent_daemonset.pod_revision_of(agent_daemonset.render(new, INSTALLATION))
    done = RolloutStatus(revision=revision, pod_revision=pods, previous_revision=revision, phase=RolloutPhase.COMPLETE)
    new = msgspec.structs.replace(new, status=msgspec.structs.replace(new.status, rollout=done))
    long = dict.fromkeys(NODES, 1000.0)
    waits = Waits(heard=set(NODES), steady_s=long, agent_ready_s=long, probing_s={} if waited_s is None else {"n1": waited_s})
    return snapshot(
        [new],
        [labelled(name, "x") for name in NODES],
        proxies=[proxy(name, revision=revision, pods=pods, **reported(revision) | (status if name == "n1" else {})) for name in NODES],
        pods=[pod(f"agent-{name}", name, pods=pods) for name in NODES],
        revisions=[stored(old), pod_revision(pods)],
        daemonsets=[agents(new)],
        probe_pods=probe_pods,
        waits=waits,
    )


def probe_pod(*, ready: bool = True, owner: str = "x", on: str = "n1", **status: Any) -> Pod:
    return pod(f"proxyconfig-probe-{on}", on, owner, ready=ready, podIPs=[{"ip": "10.244.0.9"}], **status)


def planned(there: Snapshot) -> Plan:
    return plan_of(there.configs["x"], there)


def of_pods(plan: Plan) -> list[Write]:
    return [each for each in plan.move if isinstance(each, Apply | Delete) and each.resource is Resource.POD]


def orders(plan: Plan) -> list[dict[str, Any]]:
    return [dict(each.body["spec"]) for each in plan.move if isinstance(each, Apply) and each.resource is Resource.NODE_PROXY]


def test_a_change_of_mode_waits_for_a_pod_on_the_node() -> None:
    plan = planned(changing(AFTER))

    (write,) = of_pods(plan)
    assert isinstance(write, Apply)
    assert (write.name, write.body["spec"]["nodeName"]) == (NAME, "n1")
    assert (orders(plan), plan.awaited, plan.again_in_s) == ([], ("n1",), START_S)


def test_the_pod_is_not_made_twice_while_it_starts() -> None:
    plan = planned(changing(AFTER, probe_pod(ready=False), waited_s=10))
    assert (of_pods(plan), orders(plan), plan.again_in_s) == ([], [], START_S - 10)


def test_the_order_comes_with_the_pod_that_is_ready() -> None:
    plan = planned(changing(AFTER, probe_pod(), waited_s=3))

    (order,) = orders(plan)
    assert order["change"]["pod"] == {"uid": f"uid-{NAME}", "addresses": ("10.244.0.9",)}
    assert (of_pods(plan), plan.awaited) == ([], ())


@pytest.mark.parametrize("found", [(), (probe_pod(ready=False),)], ids=["refused", "starting"])
def test_a_pod_that_is_not_ready_in_time_is_no_longer_waited_for(found: tuple[Pod, ...]) -> None:
    plan = planned(changing(AFTER, *found, waited_s=START_S))

    (order,) = orders(plan)
    assert order["change"]["pod"].keys() == {"message"}
    assert of_pods(plan) == []


def test_in_a_wave_only_what_is_still_waited_for_is_made() -> None:
    both = {**AFTER, "rollout": {**AFTER["rollout"], "canary": {"nodes": 2}, "maxUnavailable": 2}}

    plan = planned(changing(both, waited_s=START_S))

    assert [each.name for each in of_pods(plan) if isinstance(each, Apply)] == ["proxyconfig-probe-n2"]
    assert (orders(plan), plan.awaited) == ([], NODES)


def test_a_pod_that_cannot_start_is_not_waited_for_at_all() -> None:
    cannot = probe_pod(ready=False, phase="Failed", reason="OutOfpods", message="the node has no room for it")

    (order,) = orders(planned(changing(AFTER, cannot, waited_s=1)))

    assert order["change"]["pod"] == {"message": f"the probe pod {NAME} was not ready: the node has no room for it"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(BEFORE, {**AFTER, "mode": "nftables", "masquerade": {"all": True}}, id="same-mode"),
        pytest.param(BEFORE, {**AFTER, "rollout": {}}, id="not-asked-for"),
    ],
)
def test_no_other_change_needs_a_pod(before: dict[str, Any], after: dict[str, Any]) -> None:
    plan = planned(changing(after, before=before))
    assert (of_pods(plan), plan.awaited) == ([], ())
    (order,) = orders(plan)
    assert "pod" not in order["change"]


def test_a_takeover_from_kube_proxy_is_probed_as_well() -> None:
    plan = planned(changing({**AFTER, "mode": "nftables", "takeover": "Adopt"}, before={**BEFORE, "takeover": "Observe"}))
    assert (len(of_pods(plan)), plan.awaited) == (1, ("n1",))


@pytest.mark.parametrize("phase", ["Preparing", "Probing", "Holding"])
def test_the_pod_stays_while_the_node_changes(phase: str) -> None:
    there = changing(BEFORE, probe_pod(), change={"revision": OLD.name, "phase": phase})
    assert of_pods(planned(there)) == []


@pytest.mark.parametrize("phase", ["Committed", "RolledBack"])
def test_the_pod_is_deleted_when_the_change_is_over(phase: str) -> None:
    there = changing(BEFORE, probe_pod(), change={"revision": OLD.name, "phase": phase})
    assert of_pods(planned(there)) == [Delete(Resource.POD, NAME, f"uid-{NAME}")]


def test_the_pod_of_a_node_that_is_no_more_is_deleted() -> None:
    there = changing(BEFORE, probe_pod(on="gone"))
    assert [each.name for each in of_pods(planned(there)) if isinstance(each, Delete)] == ["proxyconfig-probe-gone"]


def test_the_pod_of_another_proxyconfig_is_left_to_it_and_its_end_is_waited_for() -> None:
    plan = planned(changing(AFTER, probe_pod(owner="other")))
    assert (of_pods(plan), plan.awaited) == ([], ("n1",))


def test_a_first_installation_needs_no_pod() -> None:
    plan = planned(snapshot([config(**AFTER)], [node("n1")]))
    assert (of_pods(plan), plan.awaited) == ([], ())
    assert len(orders(plan)) == 1


def test_the_way_back_needs_no_pod() -> None:
    there = changing(AFTER)
    new = revision_of("x", there.configs["x"].spec).name
    failed = {"change": {"revision": new, "phase": "RolledBack", "reason": "ProbesFailed"}, "observedRevision": OLD.name}
    pods = there.daemonsets["proxyconfig-x"].pod_revision
    rollout = RolloutStatus(revision=new, pod_revision=pods, previous_revision=OLD.name, phase=RolloutPhase.ROLLING_BACK)
    each = msgspec.structs.replace(there.configs["x"], status=msgspec.structs.replace(there.configs["x"].status, rollout=rollout))
    back = snapshot(
        [each],
        [there.nodes["n1"]],
        proxies=[proxy("n1", revision=new, pods=pods, **reported(new) | failed)],
        pods=[pod("p1", "n1", pods=pods)],
        revisions=there.revisions.values(),
    )

    (order,) = orders(planned(back))

    assert (order["revisionName"], order.get("change")) == (OLD.name, None)
    assert planned(back).awaited == ()


def test_the_order_is_understood_by_agents() -> None:
    (order,) = orders(planned(changing(AFTER, probe_pod(), waited_s=3)))
    assert msgspec.convert(order["change"]["pod"], ProbePod).addresses == ("10.244.0.9",)
