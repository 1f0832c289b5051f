"""What the conditions of a ProxyConfig say, in words. Pure; `status` makes a status of it.

kstatus reads Reconciling, Stalled and Ready in this order; Progressing and Degraded say the same truth to those who look for
these words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proxyconfig_api.objects.proxyconfig import NodeCounts
from proxyconfig_api.status.conditions import ConditionUpdate
from proxyconfig_api.status.messages import listed, node_count, nodes
from proxyconfig_api.status.plan import PlanStatus
from proxyconfig_api.status.rollout import RolloutPhase, RolloutStatus
from proxyconfig_operator.decide.node_state import Health, NodeState
from proxyconfig_operator.decide.removal import Leaving, Step
from proxyconfig_operator.decide.revisions import Target, Verdict

GO_WITHOUT = "set spec.removalPolicy to Remove to have the rules removed without it"
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
    rollout: RolloutStatus | None = None
    plan: PlanStatus | None = None
    """What waits for nodes while the rollout is paused."""
    overdue: Sequence[str] = ()
    """The words of nodes that have not become ready in time in a first installation."""

    @property
    def waits(self) -> bool:
        """Whether there is something to do as soon as the rollout is no longer paused."""
        return self.target.verdict is Verdict.PAUSED and (self.plan is not None or self.target.pending)

    @property
    def rolling(self) -> RolloutStatus | None:
        """The rollout, while it has something to do."""
        active = self.rollout is not None and self.rollout.phase in (RolloutPhase.PROGRESSING, RolloutPhase.ROLLING_BACK)
        return self.rollout if active and self.target.verdict is Verdict.FOLLOW else None


def updates_of(found: Findings) -> tuple[ConditionUpdate, ...]:
    """All conditions, always the same types in the same order."""
    stalled, ready = _stalled(found), _ready(found)
    busy = (not ready.holds or found.rolling is not None) and not stalled.holds and found.target.verdict is Verdict.FOLLOW
    reason, message = _busy(found, ready) if busy else ("AsExpected", "nothing is going on")
    return (
        ready,
        ConditionUpdate("Reconciling", busy, reason, message),
        stalled,
        ConditionUpdate("Progressing", busy, reason, message),
        _degraded(found),
        _paused(found),
        _overlapping(found),
        _other_proxies(found),
    )


def deletion_updates(leaving: Sequence[Leaving], refusals: Sequence[str] = ()) -> tuple[ConditionUpdate, ...]:
    """The conditions of a ProxyConfig that is being deleted. The message does not count seconds: each would be a write."""
    waiting, unproven = ([each.node for each in leaving if each.done is done and each.step in _UNFINISHED] for done in (False, True))
    given = [each.node for each in leaving if each.step is Step.GIVE_BACK]
    parts = [
        f"waiting for kube-proxy to serve {nodes(given)}; {GO_WITHOUT}" if given else "",
        f"waiting for {nodes(waiting)} to confirm a complete cleanup" if waiting else "",
        f"cleanup of {nodes(unproven)} not confirmed" if unproven else "",
        *refusals,
    ]
    message = "; ".join(part for part in parts if part) or "releasing the nodes"
    reason = "GivingBack" if given else "Deleting"
    return tuple(ConditionUpdate(kind, kind != "Ready", reason, message) for kind in ("Ready", "Reconciling", "Progressing"))


def _busy(found: Findings, ready: ConditionUpdate) -> tuple[str, str]:
    """What goes on: the wave, or what keeps nodes from being ready."""
    if found.rolling is None or (not ready.holds and ready.reason != "RollingOut"):
        return ready.reason, ready.message
    reason = "RollingBack" if found.rolling.phase is RolloutPhase.ROLLING_BACK else "RollingOut"
    return reason, wave_of(found.rolling)


def wave_of(rollout: RolloutStatus) -> str:
    """Where a rollout is, such as `wave 2 of 11: 3 nodes changing`."""
    if rollout.phase is RolloutPhase.ROLLING_BACK:
        return f"nodes go back to {rollout.previous_revision}: {rollout.message}"
    return f"wave {rollout.wave} of {rollout.waves}: {rollout.message}" if rollout.waves else rollout.message


def _failure_of(found: Findings) -> str:
    """What has failed, and the way on; empty if nothing has."""
    rollout = found.rollout
    if rollout is None or rollout.phase not in (RolloutPhase.FAILED, RolloutPhase.ROLLED_BACK):
        return ""
    where = f"back on {rollout.previous_revision}" if rollout.phase is RolloutPhase.ROLLED_BACK else "as they are"
    return f"{rollout.message}; nodes are {where}, {rollout.aborted} never got {rollout.revision}; change the spec, or retry it"


def _stalled(found: Findings) -> ConditionUpdate:
    if found.target.problem:
        return ConditionUpdate("Stalled", holds=True, reason=found.target.verdict.value, message=found.target.problem)
    if found.refusals:
        return ConditionUpdate("Stalled", holds=True, reason="WriteRefused", message="; ".join(found.refusals))
    if (failure := _failure_of(found)) and not found.waits:
        return ConditionUpdate("Stalled", holds=True, reason="RolloutFailed", message=failure)
    if found.overdue and not found.waits:
        late = f"{len(found.overdue)} of {node_count(found.counts.desired)} did not get ready within spec.rollout.progressDeadline"
        return ConditionUpdate("Stalled", holds=True, reason="ProgressDeadlineExceeded", message=f"{late}; {found.overdue[0]}")
    return ConditionUpdate("Stalled", holds=False, reason="AsExpected", message="nothing is in the way")


def _ready(found: Findings) -> ConditionUpdate:
    target, counts, stalled = found.target, found.counts, _stalled(found)
    if stalled.holds:
        return ConditionUpdate("Ready", holds=False, reason=stalled.reason, message=stalled.message)
    if found.waits:
        message = f"spec.rollout.paused is true: {_waiting(found)}; set it to false to go on"
        return ConditionUpdate("Ready", holds=False, reason="Paused", message=message)
    if not found.states:
        return ConditionUpdate("Ready", holds=True, reason="NoNodes", message=_why_none(found))
    summary = f"{counts.ready}/{counts.desired} nodes are ready on {target.revision}"
    if counts.ready == counts.desired:
        return ConditionUpdate("Ready", holds=True, reason="AllNodesReady", message=summary)
    worst = next(state for state in found.states if not state.serves)
    reason = {Health.FAILING: "NodesFailing", Health.UNREACHABLE: "NodesUnreachable"}.get(worst.health, "RollingOut")
    words = _words(worst) if worst.reason or found.rolling is None else wave_of(found.rolling)
    return ConditionUpdate("Ready", holds=False, reason=reason, message=f"{summary}; {words}")


def _why_none(found: Findings) -> str:
    if found.lost:
        return f"every node that spec.nodeSelector matches belongs to {listed(sorted(set(found.lost.values())))}"
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
    waiting = _waiting(found) if found.waits else "the spec cannot be followed" if found.target.problem else "nothing waits"
    return ConditionUpdate(
        "Paused", holds=True, reason="Paused", message=f"spec.rollout.paused is true, no further node changes; {waiting}"
    )


def _waiting(found: Findings) -> str:
    """What a pause holds up."""
    if (plan := found.plan) is None:
        return "the spec has changed" if found.rollout is not None else "no node has been given anything yet"
    given = {found.rollout.pod_revision, found.rollout.previous_pod_revision} if found.rollout is not None else set()
    pods = f" with pods {plan.pod_revision}" if given - {"", plan.pod_revision} else ""
    return f"{plan.revision}{pods} has yet to come to {plan.nodes} of {node_count(found.counts.desired)}, as status.plan describes"


def _overlapping(found: Findings) -> ConditionUpdate:
    if not found.lost:
        message = "every node that spec.nodeSelector matches belongs to this ProxyConfig"
        return ConditionUpdate("Overlapping", holds=False, reason="NoOverlap", message=message)
    others = listed(sorted(set(found.lost.values())))
    lost = nodes(sorted(found.lost))
    message = f"spec.nodeSelector matches {lost} of {others}, by spec.priority or age; narrow spec.nodeSelector of one"
    return ConditionUpdate("Overlapping", holds=True, reason="NodesBelongToOthers", message=message)


def _other_proxies(found: Findings) -> ConditionUpdate:
    """The message counts nodes by what they have; their NodeProxies have the words."""
    kind, proxies = "OtherProxyPresent", {state.name: state.other_proxy for state in found.states if state.other_proxy}
    if not proxies:
        return ConditionUpdate(kind, holds=False, reason="NoOtherProxy", message="no node reports another proxy")
    by_reason = {reason: sorted(name for name, each in proxies.items() if each == reason) for reason in sorted(set(proxies.values()))}
    message = "; ".join(f"{reason} on {nodes(names)}" for reason, names in by_reason.items())
    return ConditionUpdate(kind, holds=True, reason="NodesHaveOtherProxy", message=message)


def _words(state: NodeState) -> str:
    return f"{state.name}: {state.reason}: {state.message}" if state.reason else f"{state.name} has yet to change"
