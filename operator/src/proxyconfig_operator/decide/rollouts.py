"""The rollout of a ProxyConfig, from the objects of a snapshot. Pure; `rollout` decides."""

from __future__ import annotations

from proxyconfig_api.objects.nodeproxy import NodeChange, NodeProxy
from proxyconfig_api.spec.rollout import RETRY_ANNOTATION
from proxyconfig_api.status.rollout import ChangePhase, RolloutStatus
from proxyconfig_operator.decide.node_state import Health, NodeState, change_of, given_of, state_of
from proxyconfig_operator.decide.revisions import Verdict
from proxyconfig_operator.decide.snapshot import Snapshot
from proxyconfig_operator.model.objects import Config
from proxyconfig_operator.rollout.member import Member, Standing
from proxyconfig_operator.rollout.planner import Step, step_of
from proxyconfig_operator.rollout.request import Request

_NOT_APPLIED = "NotApplied"
"""For a rollout spec.rollout.progressDeadline decides when a node is late."""


def step(config: Config, snapshot: Snapshot) -> Step | None:
    """The next step; None while there is no revision."""
    target = snapshot.targets[config.name]
    if not target.revision:
        return None
    request = Request(
        revision=target.revision,
        settings=config.spec.rollout,
        follow=target.verdict is Verdict.FOLLOW,
        retry=config.metadata.annotations.get(RETRY_ANNOTATION, ""),
        known={each.metadata.name for each in snapshot.revisions_of(config.name)},
    )
    return step_of(request, config.status.rollout, members_of(config, snapshot), snapshot.now)


def members_of(config: Config, snapshot: Snapshot) -> list[Member]:
    """The nodes of `config`, by name."""
    agents, target = snapshot.agents_of(config.name), snapshot.targets[config.name].revision
    found = []
    for name in snapshot.assignment.members[config.name]:
        proxy = snapshot.proxies.get(name)
        state = state_of(snapshot.nodes[name], proxy, agents.get(name), snapshot.waits, config=config.name, revision=target)
        found.append(_member(state, proxy, config, snapshot))
    return found


def change_to(revision: str, config: Config, status: RolloutStatus) -> NodeChange:
    """How a node changes to `revision`: to the first one, and to what is known to be good, without a hold or a way back."""
    rollout = config.spec.rollout
    if revision == status.previous_revision or not status.previous_revision:
        return NodeChange()
    return NodeChange(probes=rollout.probes, hold_period=rollout.hold_period, on_failure=rollout.on_failure, retry=status.observed_retry)


def _member(state: NodeState, proxy: NodeProxy | None, config: Config, snapshot: Snapshot) -> Member:
    rollout, labels = config.spec.rollout, snapshot.nodes[state.name].metadata.labels or {}
    standing = _standing(state, proxy, config, snapshot)
    waited_s = _waited_s(state, standing, snapshot)
    limit_s = rollout.hold_period if standing is Standing.HOLDING and not _is_reported(proxy) else rollout.progress_deadline
    return Member(
        name=state.name,
        revision=given_of(proxy, config.name),
        standing=standing,
        retry=proxy.spec.change.retry if proxy is not None else "",
        group=labels.get(rollout.topology_key, "") if rollout.topology_key else "",
        canary=rollout.canary.selector is not None and rollout.canary.selector.matches(labels),
        late=standing is not Standing.HEALTHY and waited_s > rollout.progress_deadline,
        left_s=limit_s - waited_s if limit_s > waited_s and standing not in (Standing.HEALTHY, Standing.FAILED) else None,
        words=f"node {state.name}: {state.reason}: {state.message}" if state.reason else "",
    )


def _standing(state: NodeState, proxy: NodeProxy | None, config: Config, snapshot: Snapshot) -> Standing:
    if state.health is Health.UNREACHABLE:
        return Standing.UNREACHABLE
    if state.health is Health.FAILING and state.reason != _NOT_APPLIED:
        return Standing.FAILED
    if state.health not in (Health.READY, Health.DEGRADED):
        return Standing.CHANGING
    return Standing.HEALTHY if _is_held(state, proxy, config, snapshot) else Standing.HOLDING


def _is_held(state: NodeState, proxy: NodeProxy | None, config: Config, snapshot: Snapshot) -> bool:
    """Whether the hold period is over: agents that report their changes count it themselves."""
    change = change_of(proxy)
    if change is not None:
        return change.phase is ChangePhase.COMMITTED
    return snapshot.waits.steady_s.get(state.name, 0.0) >= config.spec.rollout.hold_period


def _is_reported(proxy: NodeProxy | None) -> bool:
    return change_of(proxy) is not None


def _waited_s(state: NodeState, standing: Standing, snapshot: Snapshot) -> float:
    waits = snapshot.waits
    if standing is Standing.UNREACHABLE:
        return waits.down_s.get(state.name, 0.0)
    return waits.unready_s.get(state.name, waits.steady_s.get(state.name, 0.0) if standing is Standing.HOLDING else 0.0)
