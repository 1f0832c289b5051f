"""What a ProxyConfig's status says of a first installation that does not get on. It has no revision to go back to."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.operator.builders import P1, X1, config, labelled, node, pod, proxy, reported, revision, snapshot
from tests.unit.operator.status.test_paused import kstatus_of
from tests.unit.operator.status.test_status import said

from proxyconfig_api.objects import names
from proxyconfig_api.objects.proxyconfig import ProxyConfigStatus
from proxyconfig_api.status.rollout import RolloutPhase, RolloutStatus
from proxyconfig_operator.decide.plan import Plan, plan_of
from proxyconfig_operator.model.objects import Node
from proxyconfig_operator.model.waits import Waits
from proxyconfig_operator.status.status import status_of

pytestmark = pytest.mark.usefixtures("no_userspace")

UNSUPPORTED = reported("", ready=False, reason="ModeUnsupported", message="no nf_tables") | {"observedGeneration": 0}
"""An agent that has applied nothing."""
BROKEN = reported(X1, ready=False, reason="SyncFailed", message="no memory")
"""One that has."""
LATE = "did not get ready within spec.rollout.progressDeadline"


def installing(
    agents: dict[str, dict[str, Any]], after_s: float, *, phase: str = "Progressing", previous: str = "", nodes: list[Node] | None = None
) -> tuple[ProxyConfigStatus, Plan]:
    """The status of a ProxyConfig whose agents report so, and the plan, so many seconds after their nodes were given the revision."""
    failing = {name for name, status in agents.items() if status in (UNSUPPORTED, BROKEN)}
    told = RolloutStatus(
        revision=X1, pod_revision=P1, previous_revision=previous, previous_pod_revision=previous, phase=RolloutPhase(phase)
    )
    each = msgspec.structs.replace(config(finalizers=[names.FINALIZER]), status=ProxyConfigStatus(rollout=told))
    there = snapshot(
        [each],
        nodes or [labelled(name, "x") for name in agents],
        proxies=[proxy(name, revision=X1, **status) for name, status in agents.items()],
        pods=[pod(f"p-{name}", name) for name in agents],
        revisions=[revision(X1, 1)],
        waits=Waits(
            heard=set(agents),
            unready_s=dict.fromkeys(failing, after_s),
            steady_s=dict.fromkeys(agents.keys() - failing, after_s),
            down_s={each.metadata.name: after_s for each in nodes or () if not each.answers},
        ),
    )
    plan = plan_of(each, there)
    return status_of(each, there, plan, ()), plan


def test_nodes_that_are_not_ready_in_time_stall_it_with_the_words_of_the_first() -> None:
    status, _ = installing({"n1": UNSUPPORTED, "n2": UNSUPPORTED, "n3": UNSUPPORTED}, after_s=601)

    words = ("ProgressDeadlineExceeded", f"3 of 3 nodes {LATE}; node n1: ModeUnsupported: no nf_tables")
    assert (said(status, "Stalled"), said(status, "Ready")) == (("True", *words), ("False", *words))
    assert (said(status, "Reconciling")[0], kstatus_of(status)) == ("False", "Failed")


def test_until_then_it_is_in_progress_and_looked_at_again_when_the_time_is_over() -> None:
    status, plan = installing({"n1": UNSUPPORTED, "n2": UNSUPPORTED}, after_s=590)

    assert (said(status, "Stalled")[0], kstatus_of(status), plan.again_in_s) == ("False", "InProgress", 10)


def test_it_goes_on_for_all_nodes() -> None:
    status, plan = installing({"n1": UNSUPPORTED}, after_s=601, nodes=[labelled("n1", "x"), node("n2")])

    assert said(status, "Stalled")[0] == "True"
    assert [write.name for write in plan.move if hasattr(write, "name")] == ["n2"]
    assert status.rollout is not None
    assert status.rollout.phase is RolloutPhase.PROGRESSING


def test_one_node_that_has_never_applied_anything_stalls_it_also_when_all_others_serve() -> None:
    status, plan = installing({"n1": UNSUPPORTED, "n2": reported(X1)}, after_s=601)

    assert status.rollout is not None
    assert status.rollout.phase is RolloutPhase.COMPLETE
    assert said(status, "Stalled")[2] == f"1 of 2 nodes {LATE}; node n1: ModeUnsupported: no nf_tables"
    _, before = installing({"n1": UNSUPPORTED, "n2": reported(X1)}, after_s=590, phase="Complete")
    assert (plan.again_in_s, before.again_in_s) == (None, 10)


@pytest.mark.parametrize(
    ("agents", "more"),
    [
        pytest.param({"n1": BROKEN, "n2": reported(X1)}, {"phase": "Complete"}, id="a-later-failure"),
        pytest.param({"n1": UNSUPPORTED, "n2": reported(X1)}, {"phase": "Complete", "previous": "x-0"}, id="a-later-rollout"),
        pytest.param({"n1": UNSUPPORTED}, {"nodes": [labelled("n1", "x", ready="Unknown")]}, id="a-node-that-is-down"),
    ],
)
def test_nothing_else_does(agents: dict[str, dict[str, Any]], more: dict[str, Any]) -> None:
    status, _ = installing(agents, after_s=601, **more)

    assert (said(status, "Stalled")[0], kstatus_of(status)) == ("False", "InProgress")


def test_it_is_over_when_the_node_is_ready() -> None:
    status, _ = installing({"n1": reported(X1), "n2": reported(X1)}, after_s=601)

    assert (said(status, "Stalled")[0], kstatus_of(status)) == ("False", "Current")
