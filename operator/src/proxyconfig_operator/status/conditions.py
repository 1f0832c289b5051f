"""What the conditions of a ProxyConfig say, in words. Pure; `status` makes a status of it.

kstatus reads Reconciling, Stalled and Ready in this order; Progressing and Degraded say the same truth to those who look for
these words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proxyconfig_api.proxyconfig import NodeCounts
from proxyconfig_operator.decide.removal import Leaving
from proxyconfig_operator.decide.revisions import Target, Verdict
from proxyconfig_operator.status.node_state import Health, NodeState

NAMED = 5
"""Nodes that a sentence names."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A condition without its times."""

    type: str
    holds: bool
    reason: str
    message: str


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


def claims_of(found: Findings) -> tuple[Claim, ...]:
    """All conditions, always the same types in the same order."""
    stalled, ready = _stalled(found), _ready(found)
    busy = not ready.holds and not stalled.holds and found.target.verdict is Verdict.FOLLOW
    reason, message = (ready.reason, ready.message) if busy else ("AsWanted", "nothing is going on")
    return (
        ready,
        Claim("Reconciling", busy, reason, message),
        stalled,
        Claim("Progressing", busy, reason, message),
        _degraded(found),
        _paused(found),
        _overlapping(found),
    )


def farewell(leaving: Sequence[Leaving]) -> tuple[Claim, ...]:
    """The conditions of a ProxyConfig that is being deleted."""
    waiting = [each.node for each in leaving if not each.done]
    message = "letting its nodes go"
    if waiting:
        until = f"{leaving[0].deadline:%H:%M:%S} UTC"
        message = f"waiting until {until} for {len(waiting)} nodes to prove that nothing is left: {some(waiting)}"
    return tuple(Claim(kind, kind != "Ready", "Deleting", message) for kind in ("Ready", "Reconciling", "Progressing"))


def some(nodes: Sequence[str]) -> str:
    """A few names, and how many more."""
    more = f" and {len(nodes) - NAMED} more" if len(nodes) > NAMED else ""
    return ", ".join(nodes[:NAMED]) + more


def _stalled(found: Findings) -> Claim:
    if found.target.problem:
        return Claim("Stalled", holds=True, reason=found.target.verdict.value, message=found.target.problem)
    if found.refusals:
        return Claim("Stalled", holds=True, reason="WriteRefused", message="; ".join(found.refusals))
    return Claim("Stalled", holds=False, reason="AsWanted", message="nothing is in the way")


def _ready(found: Findings) -> Claim:
    target, counts, stalled = found.target, found.counts, _stalled(found)
    if stalled.holds:
        return Claim("Ready", holds=False, reason=stalled.reason, message=stalled.message)
    if target.verdict is Verdict.PAUSED and target.pending:
        stay = f"nodes stay on {target.revision}" if target.revision else "no node has been given anything yet"
        message = f"spec.paused is true and the spec has changed: {stay}; set it to false to roll out"
        return Claim("Ready", holds=False, reason="Paused", message=message)
    if not found.states:
        return Claim("Ready", holds=True, reason="NoNodes", message=_why_none(found))
    summary = f"{counts.ready}/{counts.desired} nodes are ready on {target.revision}"
    if counts.ready == counts.desired:
        return Claim("Ready", holds=True, reason="AllNodesReady", message=summary)
    worst = next(state for state in found.states if not state.serves)
    reason = {Health.FAILING: "NodesFailing", Health.UNREACHABLE: "NodesUnreachable"}.get(worst.health, "RollingOut")
    return Claim("Ready", holds=False, reason=reason, message=f"{summary}; {_words(worst)}")


def _why_none(found: Findings) -> str:
    if found.lost:
        return f"all {len(found.lost)} nodes that spec.nodeSelector matches belong to {some(sorted(set(found.lost.values())))}"
    return "spec.nodeSelector matches no Linux node of this cluster"


def _degraded(found: Findings) -> Claim:
    bad = [state for state in found.states if state.health <= Health.DEGRADED]
    if not bad:
        return Claim("Degraded", holds=False, reason="AsWanted", message="no node reports anything wrong")
    reason = {Health.FAILING: "NodesFailing", Health.UNREACHABLE: "NodesUnreachable"}.get(bad[0].health, "NodesDegraded")
    counted = f"{found.counts.failing} failing, {found.counts.unreachable} unreachable of {found.counts.desired} nodes"
    return Claim("Degraded", holds=True, reason=reason, message=f"{counted}; {_words(bad[0])}")


def _paused(found: Findings) -> Claim:
    if not found.paused:
        return Claim("Paused", holds=False, reason="NotPaused", message="changes of the spec are rolled out")
    waiting = "the spec has changed and waits" if found.target.pending else "the spec asks for nothing else"
    return Claim("Paused", holds=True, reason="Paused", message=f"spec.paused is true, nodes keep their revision; {waiting}")


def _overlapping(found: Findings) -> Claim:
    if not found.lost:
        message = "every node that spec.nodeSelector matches belongs to this ProxyConfig"
        return Claim("Overlapping", holds=False, reason="NoOverlap", message=message)
    others = some(sorted(set(found.lost.values())))
    nodes = some(sorted(found.lost))
    message = f"nodes that spec.nodeSelector matches belong to {others}, by spec.priority or age: {nodes}; narrow spec.nodeSelector of one"
    return Claim("Overlapping", holds=True, reason="NodesBelongToOthers", message=message)


def _words(state: NodeState) -> str:
    return f"{state.name}: {state.reason}: {state.message}"
