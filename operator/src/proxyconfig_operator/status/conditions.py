"""What the conditions of a ProxyConfig say, in words. Pure; `status` makes a status of it.

kstatus reads Reconciling, Stalled and Ready in this order; Progressing and Degraded say the same truth to those who look for
these words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proxyconfig_api.messages import listed
from proxyconfig_api.proxyconfig import NodeCounts
from proxyconfig_api.status.conditions import ConditionUpdate
from proxyconfig_operator.decide.removal import Leaving, Step
from proxyconfig_operator.decide.revisions import Target, Verdict
from proxyconfig_operator.decide.node_state import Health, NodeState

_UNFINISHED = (Step.REQUEST, Step.WAIT, Step.OVERDUE, Step.UNPROVEN)


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known of a ProxyConfig and its nodes."""

    paused: bool
    target: Target
    states: Sequence[NodeState]
    """Of its nodes, worst first."""
    counts: NodeCounts
    lost: Mapping[str, str]
    """Nodes that it selects as well, and to whom they belong."""
    refusals: Sequence[str]


def updates_of(found: Findings) -> tuple[ConditionUpdate, ...]:
    """All conditions, always the same types in the same order."""
    stalled, ready = _stalled(found), _ready(found)
    busy = not ready.holds and not stalled.holds and found.target.verdict is Verdict.FOLLOW
    reason, message = (ready.reason, ready.message) if busy else ("AsExpected", "nothing is going on")
    return (
        ready,
        ConditionUpdate("Reconciling", busy, reason, message),
        stalled,
        ConditionUpdate("Progressing", busy, reason, message),
        _degraded(found),
        _paused(found),
        _overlapping(found),
    )


def deletion_updates(leaving: Sequence[Leaving], refusals: Sequence[str] = ()) -> tuple[ConditionUpdate, ...]:
    """The conditions of a ProxyConfig that is being deleted. The message does not count seconds: each would be a write."""
    waiting, unproven = ([each.node for each in leaving if each.done is done and each.step in _UNFINISHED] for done in (False, True))
    parts = [
        f"waiting for {len(waiting)} nodes to confirm that their cleanup is complete: {listed(waiting)}" if waiting else "",
        f"cleanup of {len(unproven)} nodes not confirmed: {listed(unproven)}" if unproven else "",
        *refusals,
    ]
    message = "; ".join(part for part in parts if part) or "releasing the nodes"
    return tuple(ConditionUpdate(kind, kind != "Ready", "Deleting", message) for kind in ("Ready", "Reconciling", "Progressing"))


def _stalled(found: Findings) -> ConditionUpdate:
    if found.target.problem:
        return ConditionUpdate("Stalled", holds=True, reason=found.target.verdict.value, message=found.target.problem)
    if found.refusals:
        return ConditionUpdate("Stalled", holds=True, reason="WriteRefused", message="; ".join(found.refusals))
    return ConditionUpdate("Stalled", holds=False, reason="AsExpected", message="nothing is in the way")


def _ready(found: Findings) -> ConditionUpdate:
    target, counts, stalled = found.target, found.counts, _stalled(found)
    if stalled.holds:
        return ConditionUpdate("Ready", holds=False, reason=stalled.reason, message=stalled.message)
    if target.verdict is Verdict.PAUSED and target.pending:
        stay = f"nodes stay on {target.revision}" if target.revision else "no node has been given anything yet"
        message = f"spec.rollout.paused is true and the spec has changed: {stay}; set it to false to roll out"
        return ConditionUpdate("Ready", holds=False, reason="Paused", message=message)
    if not found.states:
        return ConditionUpdate("Ready", holds=True, reason="NoNodes", message=_why_none(found))
    summary = f"{counts.ready}/{counts.desired} nodes are ready on {target.revision}"
    if counts.ready == counts.desired:
        return ConditionUpdate("Ready", holds=True, reason="AllNodesReady", message=summary)
    worst = next(state for state in found.states if not state.serves)
    reason = {Health.FAILING: "NodesFailing", Health.UNREACHABLE: "NodesUnreachable"}.get(worst.health, "RollingOut")
    return ConditionUpdate("Ready", holds=False, reason=reason, message=f"{summary}; {_words(worst)}")


def _why_none(found: Findings) -> str:
    if found.lost:
        return f"all {len(found.lost)} nodes that spec.nodeSelector matches belong to {listed(sorted(set(found.lost.values())))}"
    return "spec.nodeSelector matches no Linux node of this cluster"


def _degraded(found: Findings) -> ConditionUpdate:
    bad = [state for state in found.states if state.health <= Health.DEGRADED]
    if not bad:
        return ConditionUpdate("Degraded", holds=False, reason="AsExpected", message="no node reports anything wrong")
    reason = {Health.FAILING: "NodesFailing", Health.UNREACHABLE: "NodesUnreachable"}.get(bad[0].health, "NodesDegraded")
    counted = f"{found.counts.failing} failing, {found.counts.unreachable} unreachable of {found.counts.desired} nodes"
    return ConditionUpdate("Degraded", holds=True, reason=reason, message=f"{counted}; {_words(bad[0])}")


def _paused(found: Findings) -> ConditionUpdate:
    if not found.paused:
        return ConditionUpdate("Paused", holds=False, reason="NotPaused", message="changes of the spec are rolled out")
    waiting = "the spec has changed and waits" if found.target.pending else "the spec asks for nothing else"
    return ConditionUpdate(
        "Paused", holds=True, reason="Paused", message=f"spec.rollout.paused is true, nodes keep their revision; {waiting}"
    )


def _overlapping(found: Findings) -> ConditionUpdate:
    if not found.lost:
        message = "every node that spec.nodeSelector matches belongs to this ProxyConfig"
        return ConditionUpdate("Overlapping", holds=False, reason="NoOverlap", message=message)
    others = listed(sorted(set(found.lost.values())))
    nodes = listed(sorted(found.lost))
    message = f"nodes that spec.nodeSelector matches belong to {others}, by spec.priority or age: {nodes}; narrow spec.nodeSelector of one"
    return ConditionUpdate("Overlapping", holds=True, reason="NodesBelongToOthers", message=message)


def _words(state: NodeState) -> str:
    return f"{state.name}: {state.reason}: {state.message}"
