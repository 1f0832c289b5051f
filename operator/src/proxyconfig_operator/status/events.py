"""The Events that a change of status is worth, for `kubectl describe`. Pure.

Transitions are judged against the status that is in the API server, so a restarted operator repeats nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from proxyconfig_api.objects.nodeproxy import Action
from proxyconfig_api.objects.proxyconfig import ProxyConfigStatus
from proxyconfig_api.rollout.release import release_of
from proxyconfig_api.status.conditions import Condition, is_true
from proxyconfig_api.status.messages import node_count, nodes
from proxyconfig_api.status.rollout import RolloutPhase, RolloutStatus
from proxyconfig_operator.decide.plan import Plan
from proxyconfig_operator.decide.removal import Step
from proxyconfig_operator.status.conditions import GO_WITHOUT

ALARMS = ("Stalled", "Degraded", "Overlapping")


@dataclass(frozen=True, slots=True)
class Event:
    kind: Literal["Normal", "Warning"]
    reason: str
    note: str


def events_of(before: ProxyConfigStatus, after: ProxyConfigStatus, plan: Plan, *, deleting: bool = False) -> tuple[Event, ...]:
    """What is worth an Event now that `after` follows `before`, and `plan` is carried out."""
    return tuple(_rolling(before, after)) + tuple(_turned(before, after)) + tuple(_removing(plan, deleting=deleting))


def _rolling(before: ProxyConfigStatus, after: ProxyConfigStatus) -> Iterator[Event]:
    if after.revision and after.revision != before.revision:
        was = f" instead of {before.revision}" if before.revision else ""
        yield Event("Normal", "RollingOut", f"{after.revision} is rolled out to {node_count(after.nodes.desired)}{was}")
    if after.rollout is not None:
        yield from _stepping(before.rollout or RolloutStatus(), after.rollout)


def _stepping(before: RolloutStatus, after: RolloutStatus) -> Iterator[Event]:
    """One for each wave and each phase; what is complete without a wave is Ready, and paused is a condition."""
    same = release_of(after) == release_of(before)
    goes_on = same and before.phase in (RolloutPhase.PROGRESSING, RolloutPhase.PAUSED)
    if after.phase is RolloutPhase.PROGRESSING and after.wave and not (goes_on and after.wave == before.wave):
        yield Event("Normal", "WaveStarted", f"wave {after.wave} of {after.waves} gets {_new(after)}: {after.message}")
    if same and after.phase is before.phase:
        return
    match after.phase:
        case RolloutPhase.COMPLETE if after.waves and before.revision:
            yield Event("Normal", "RolloutComplete", f"{_new(after)} is healthy on {node_count(after.updated)}")
        case RolloutPhase.ROLLING_BACK:
            yield Event("Warning", "RollingBack", f"nodes go back from {_new(after)} to {_old(after)}: {after.message}")
        case RolloutPhase.ROLLED_BACK:
            yield Event("Warning", "RolledBack", f"nodes are back on {_old(after)}: {after.message}")
        case _:
            pass


def _new(rollout: RolloutStatus) -> str:
    return _named(rollout, rollout.revision, rollout.pod_revision)


def _old(rollout: RolloutStatus) -> str:
    return _named(rollout, rollout.previous_revision, rollout.previous_pod_revision)


def _named(rollout: RolloutStatus, revision: str, pod_revision: str) -> str:
    """With the revision of the pods where they change."""
    pods_change = rollout.previous_pod_revision not in ("", rollout.pod_revision)
    return f"{revision} with pods {pod_revision}" if pods_change else revision


def _turned(before: ProxyConfigStatus, after: ProxyConfigStatus) -> Iterator[Event]:
    for condition in after.conditions:
        holds, held = is_true(after.conditions, condition.type), is_true(before.conditions, condition.type)
        if holds != held:
            yield from _turn(condition, holds=holds)


def _turn(condition: Condition, *, holds: bool) -> Iterator[Event]:
    match condition.type, holds:
        case kind, True if kind in ALARMS:
            yield Event("Warning", condition.reason, condition.message)
        case kind, False if kind in ALARMS:
            yield Event("Normal", f"No{kind}" if kind == "Overlapping" else f"Not{kind}", condition.message)
        case "Ready", True:
            yield Event("Normal", "Ready", condition.message)
        case "Paused", _:
            yield Event("Normal", "Paused" if holds else "Resumed", condition.message)
        case _:
            pass  # the others say the same truth in other words


def _removing(plan: Plan, *, deleting: bool) -> Iterator[Event]:
    """The outcome of a removal. A node is overdue once; its NodeProxy records it."""
    asked = [each for each in plan.leaving if each.step is Step.REQUEST]
    if requested := [each.node for each in asked if each.action is Action.REMOVE]:
        yield Event("Normal", "RemovalRequested", f"{nodes(requested)} asked to remove all rules")
    if given := [each.node for each in asked if each.action is Action.GIVE_BACK]:
        yield Event("Normal", "GivingBack", f"the rules of {nodes(given)} stay until kube-proxy serves there; {GO_WITHOUT}")
    for reason in sorted({each.reason for each in plan.leaving if each.step is Step.OVERDUE}):
        yield unproven([each.node for each in plan.leaving if each.reason == reason], reason)
    if deleting and plan.finish:
        left = [each.node for each in plan.leaving]
        note = f"released, cleanup of {nodes(left)} not confirmed" if left else "released, every node has confirmed its cleanup"
        yield Event("Warning" if left else "Normal", "Removed", note)


def unproven(names: Sequence[str], reason: str) -> Event:
    """That nodes were not waited for any longer."""
    fix = "The NodeProxy keeps asking for it; if the agent cannot come back, run it with --cleanup on the node and delete the NodeProxy"
    return Event("Warning", "RemovalNotProven", f"cleanup of {nodes(names)} not confirmed: {reason}. {fix}")
