"""How far the rollout of a ProxyConfig is, from its status alone: one sentence, and whether it is over."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from proxyconfig_api.encoding import codec
from proxyconfig_api.objects.proxyconfig import ProxyConfig
from proxyconfig_api.status.conditions import condition, is_true
from proxyconfig_api.status.messages import node_count
from proxyconfig_api.status.rollout import RolloutPhase


class Outcome(enum.Enum):
    UNDERWAY = "underway"
    COMPLETE = "complete"
    FAILED = "failed"
    """It does not go on without a person."""


@dataclass(frozen=True, slots=True)
class Progress:
    outcome: Outcome
    message: str


_ENDED = (RolloutPhase.FAILED, RolloutPhase.ROLLED_BACK)


def progress(config: ProxyConfig) -> Progress:
    """Complete: every node of the ProxyConfig runs its newest revision, and its Services work."""
    name, status = config.metadata.name, config.status
    if status.observed_generation < config.metadata.generation:
        return Progress(Outcome.UNDERWAY, f"{name}: waiting for the operator to see generation {config.metadata.generation}")
    if status.rollout is not None and status.rollout.phase in _ENDED and status.plan is None:
        return Progress(Outcome.FAILED, f"{name}: {_failure(config)}")
    if is_true(status.conditions, "Stalled"):
        return Progress(Outcome.FAILED, f"{name}: {_words_of(config, 'Stalled')}")
    if not status.nodes.desired:
        return Progress(Outcome.COMPLETE, f"{name}: selects no node")
    if status.nodes.updated == status.nodes.ready == status.nodes.desired and _is_through(config):
        return Progress(Outcome.COMPLETE, f"{name}: revision {status.revision} is healthy on {node_count(status.nodes.desired)}")
    return Progress(Outcome.UNDERWAY, f"{name}: {_underway(config)}")


def as_object(config: ProxyConfig) -> dict[str, object]:
    """For programs: the sentence with what it is made of."""
    now, nodes = progress(config), config.status.nodes
    return {
        "name": config.metadata.name,
        "outcome": now.outcome.value,
        "message": now.message,
        "revision": config.status.revision,
        "nodes": {"desired": nodes.desired, "updated": nodes.updated, "ready": nodes.ready},
        "rollout": codec.builtins(config.status.rollout),
    }


def _is_through(config: ProxyConfig) -> bool:
    rollout = config.status.rollout
    if config.status.plan is not None:
        return False
    return not is_true(config.status.conditions, "Reconciling") if rollout is None else rollout.phase is RolloutPhase.COMPLETE


def _underway(config: ProxyConfig) -> str:
    nodes, rollout, plan = config.status.nodes, config.status.rollout, config.status.plan
    wave = f", wave {rollout.wave} of {rollout.waves}" if rollout is not None and rollout.waves else ""
    words = f"{nodes.updated} of {node_count(nodes.desired)} updated, {nodes.ready} ready{wave}"
    if config.spec.rollout.paused or (rollout is not None and rollout.phase is RolloutPhase.PAUSED):
        waiting = f", {plan.revision} waits for {node_count(plan.nodes)}" if plan is not None else ""
        return f"{words}{waiting}; paused: continue with kubectl proxyconfig rollout resume {config.metadata.name}"
    if rollout is not None and rollout.phase is RolloutPhase.ROLLING_BACK:
        return f"rolling back to {rollout.previous_revision}: {rollout.message or words}"
    return words + (f"; {worst.node}: {worst.reason}" if (worst := next(iter(config.status.worst_nodes), None)) else "")


def _failure(config: ProxyConfig) -> str:
    rollout = config.status.rollout
    words = "" if rollout is None else rollout.message
    what = "rolled back" if rollout is not None and rollout.phase is RolloutPhase.ROLLED_BACK else "failed"
    return f"{what}: {words or _words_of(config, 'Stalled') or 'kubectl describe kpx says why'}"


def _words_of(config: ProxyConfig, kind: str) -> str:
    found = condition(config.status.conditions, kind)
    return "" if found is None else found.message or found.reason
