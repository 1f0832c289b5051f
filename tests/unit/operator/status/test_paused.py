"""What a ProxyConfig's status says while its rollout is paused, at whatever point."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.api.status.kstatus import kstatus
from tests.unit.operator.builders import INSTALLATION, P1, X1, config, labelled, pod, proxy, reported, revision, snapshot
from tests.unit.operator.status.test_status import said

from proxyconfig_api.encoding import codec
from proxyconfig_api.objects import names
from proxyconfig_api.objects.nodeproxy import NextOrder
from proxyconfig_api.objects.proxyconfig import ProxyConfigStatus
from proxyconfig_api.status.rollout import RolloutStatus
from proxyconfig_operator.decide import agent_daemonset
from proxyconfig_operator.decide.plan import plan_of
from proxyconfig_operator.status.status import status_of

pytestmark = pytest.mark.usefixtures("no_userspace")

X0 = "x-0"
"""The revision before."""


def paused(there: list[str], rollout: dict[str, Any], spec: dict[str, Any] | None = None, failing: str = "") -> ProxyConfigStatus:
    """The status of a paused ProxyConfig with a rollout from X0 to X1, on nodes that have these revisions."""
    told = {"revision": X1, "previousRevision": X0, "podRevision": P1, "previousPodRevision": P1, **rollout}
    each = config(finalizers=[names.FINALIZER], **{"rollout": {"paused": True}, **(spec or {})})
    each = msgspec.structs.replace(each, status=ProxyConfigStatus(rollout=codec.decode(told, RolloutStatus)))
    nodes = {f"n{number}": has for number, has in enumerate(there)}
    objects = snapshot(
        [each],
        [labelled(name, "x") for name in nodes],
        proxies=[
            proxy(name, revision=has, **reported(has, ready=name != failing, reason="SyncFailed", message="no"))
            for name, has in nodes.items()
        ],
        pods=[pod(f"p-{name}", name) for name in nodes],
        revisions=[revision(X0, 1), revision(X1, 2)],
    )
    return status_of(each, objects, plan_of(each, objects), ())


def kstatus_of(status: ProxyConfigStatus) -> str:
    return kstatus({"metadata": {"generation": 1}, "status": codec.builtins(status)})


def waits(status: ProxyConfigStatus, what: str) -> None:
    """Ready, Paused and the plan speak of the same change, and nothing is done or failed."""
    assert said(status, "Ready") == ("False", "Paused", f"spec.rollout.paused is true: {what}; set it to false to go on")
    assert said(status, "Paused") == ("True", "Paused", f"spec.rollout.paused is true, no further node changes; {what}")
    assert (said(status, "Reconciling")[0], said(status, "Stalled")[0], kstatus_of(status)) == ("False", "False", "InProgress")


def test_between_waves_the_nodes_that_are_left_wait() -> None:
    status = paused([X1, X1, X0, X0, X0, X0], {"phase": "Progressing"})

    waits(status, f"{X1} has yet to come to 4 of 6 nodes, as status.plan describes")
    assert status.plan is not None
    assert (status.plan.revision, status.plan.nodes, status.plan.waves) == (X1, 4, 4)
    assert status.rollout is not None
    assert status.rollout.phase == "Paused"


def test_a_change_of_pods_alone_waits() -> None:
    changed: dict[str, Any] = {"agent": {"image": "b"}}
    status = paused([X1] * 6, {"phase": "Complete"}, changed)

    pods = agent_daemonset.pod_revision_of(agent_daemonset.render(config(**changed), INSTALLATION))
    waits(status, f"{X1} with pods {pods} has yet to come to 6 of 6 nodes, as status.plan describes")


def test_nodes_that_are_on_their_way_back_wait_for_the_revision_before_and_not_for_the_one_that_failed() -> None:
    status = paused([X1, X1, X0, X0, X0, X0], {"phase": "RollingBack", "message": "node n0: bad", "failed": 1})

    waits(status, f"{X0} has yet to come to 2 of 6 nodes, as status.plan describes")
    assert status.plan is not None
    assert (status.plan.revision, status.plan.nodes) == (X0, 2)


def test_nodes_that_will_go_back_as_one_has_failed_meanwhile_wait_for_the_revision_before() -> None:
    status = paused([X1, X1, X0, X0, X0, X0], {"phase": "Paused"}, failing="n0")

    waits(status, f"{X0} has yet to come to 2 of 6 nodes, as status.plan describes")


def test_a_first_installation_that_has_not_begun_waits() -> None:
    each = config(finalizers=[names.FINALIZER], rollout={"paused": True})
    there = snapshot([each], [labelled("n1", "x")])

    waits(status_of(each, there, plan_of(each, there), ()), "no node has been given anything yet")


def test_where_nothing_waits_all_is_as_if_it_were_not_paused() -> None:
    status = paused([X1] * 6, {"phase": "Complete"})

    assert said(status, "Ready") == ("True", "AllNodesReady", f"6/6 nodes are ready on {X1}")
    assert said(status, "Paused")[2] == "spec.rollout.paused is true, no further node changes; nothing waits"
    assert (status.plan, kstatus_of(status)) == (None, "Current")


@pytest.mark.parametrize(
    ("there", "rollout", "failing"),
    [
        pytest.param([X0] * 3, {"phase": "RolledBack"}, "", id="rolled-back"),
        pytest.param([X1, X0, X0], {"phase": "Failed"}, "n0", id="kept-as-it-is"),
    ],
)
def test_a_rollout_that_has_failed_stays_failed_as_it_would_not_go_on(there: list[str], rollout: dict[str, Any], failing: str) -> None:
    status = paused(there, rollout | {"message": "node n0: bad", "failed": 1}, {"rollout": {"paused": True, "onFailure": "Pause"}}, failing)

    assert said(status, "Stalled")[:2] == ("True", "RolloutFailed")
    assert (said(status, "Ready")[:2], status.plan, kstatus_of(status)) == (("False", "RolloutFailed"), None, "Failed")


def test_a_corrected_spec_waits_after_a_failure() -> None:
    status = paused([X0] * 3, {"phase": "RolledBack", "message": "node n0: bad", "failed": 1}, {"conntrack": {"min": 7}})

    assert status.plan is not None
    waits(status, f"{status.plan.revision} has yet to come to 3 of 3 nodes, as status.plan describes")


def test_a_node_that_is_still_changing_is_named_although_its_agent_has_nothing_to_say() -> None:
    status = one_under_way()

    assert said(status, "Ready")[2].endswith("; n0 has yet to change")


def one_under_way() -> ProxyConfigStatus:
    """Of a paused rollout all of whose nodes have been given the revision; one of them has the pod for it and not yet the rest."""
    told = RolloutStatus(revision=X1, previous_revision=X0, pod_revision=P1, previous_pod_revision="p0")
    each = config(finalizers=[names.FINALIZER], rollout={"paused": True})
    each = msgspec.structs.replace(each, status=ProxyConfigStatus(rollout=told))
    going = proxy("n0", revision=X0, **reported(X0))
    goal = NextOrder(revision_name=X1, pod_revision=P1)
    going = msgspec.structs.replace(going, spec=msgspec.structs.replace(going.spec, next=goal))
    objects = snapshot(
        [each], [labelled("n0", "x")], proxies=[going], pods=[pod("p-n0", "n0")], revisions=[revision(X0, 1), revision(X1, 2)]
    )
    return status_of(each, objects, plan_of(each, objects), ())
