"""What is said of a change that waits while a rollout is paused."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.unit.operator.builders import INSTALLATION, P1, X1, config, labelled, pod, proxy, reported, revision, snapshot

from proxyconfig_api.objects.proxyconfig import ProxyConfigStatus
from proxyconfig_api.objects.revision import revision_of
from proxyconfig_api.status.plan import PlannedField, PlanStatus
from proxyconfig_api.status.rollout import RolloutPhase, RolloutStatus
from proxyconfig_api.values.disruption import Disruption
from proxyconfig_api.values.duration import Duration
from proxyconfig_operator.decide import agent_daemonset
from proxyconfig_operator.decide.plan import plan_of

COMPLETE = RolloutStatus(revision=X1, pod_revision=P1, previous_revision=X1, previous_pod_revision=P1, phase=RolloutPhase.COMPLETE)


def pending(nodes: int = 12, **spec: Any) -> PlanStatus | None:
    """Of a ProxyConfig that was complete on so many nodes and has this spec now."""
    names = [f"n{number:02}" for number in range(nodes)]
    each = msgspec.structs.replace(config(**spec), status=ProxyConfigStatus(rollout=COMPLETE))
    there = snapshot(
        [each],
        [labelled(name, "x") for name in names],
        proxies=[proxy(name, revision=X1, **reported(X1)) for name in names],
        pods=[pod(f"p-{name}", name) for name in names],
        revisions=[revision(X1, 1)],
    )
    return plan_of(each, there).pending


def test_a_paused_change_is_told_with_its_fields_nodes_and_waves() -> None:
    rollout = {"paused": True, "maxUnavailable": 4, "holdPeriod": "30s"}

    found = pending(conntrack={"min": 7}, agent={"image": "b"}, rollout=rollout)

    changed = config(conntrack={"min": 7}, agent={"image": "b"})
    assert found == PlanStatus(
        revision=revision_of("x", changed.spec).name,
        pod_revision=agent_daemonset.pod_revision_of(agent_daemonset.render(changed, INSTALLATION)),
        fields=(
            PlannedField(path="agent.image", disruption=Disruption.RESTARTS_AGENTS),
            PlannedField(path="conntrack.min", disruption=Disruption.NONE),
        ),
        nodes=12,
        waves=4,
        least_time=Duration(120),
    )


def test_nothing_waits_where_the_spec_asks_for_nothing_else_or_is_not_paused() -> None:
    assert pending(rollout={"paused": True}) is None
    assert pending(conntrack={"min": 7}) is None
