"""The rollout of a ProxyConfig, from the objects of a snapshot. Pure; `rollout` decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxyconfig_api.objects.nodeproxy import NextOrder, NodeChange, NodeProxy, NodeProxySpec
from proxyconfig_api.rollout.member import Member, Standing
from proxyconfig_api.rollout.release import Release, given_of, goal_of
from proxyconfig_api.rollout.request import Request
from proxyconfig_api.spec.rollout import RETRY_ANNOTATION
from proxyconfig_api.status.rollout import ChangePhase, RolloutStatus
from proxyconfig_operator.decide import agent_daemonset, pod_revisions, probing
from proxyconfig_operator.decide.node_state import Health, NodeState, change_of
from proxyconfig_operator.decide.revisions import Verdict
from proxyconfig_operator.decide.snapshot import Snapshot
from proxyconfig_operator.model.objects import Config
from proxyconfig_operator.rollout.planner import Step, step_of

_NOT_APPLIED = "NotApplied"
"""For a rollout spec.rollout.progressDeadline decides when a node is late."""


def step(config: Config, manifest: Mapping[str, Any], snapshot: Snapshot) -> Step | None:
    """The next step; None while there is no revision. `manifest`: the DaemonSet that the spec asks for."""
    target = snapshot.targets[config.name]
    if not target.revision:
        return None
    pod_revision = agent_daemonset.pod_revision_of(manifest)
    follow, existing = target.verdict is Verdict.FOLLOW, snapshot.daemonset_of(config.name)
    release = Release(target.revision, pod_revision if follow or existing is None else existing.pod_revision)
    request = request_of(config, manifest, snapshot, release, follow=follow)
    return step_of(request, config.status.rollout, members_of(config, snapshot), snapshot.now)


def request_of(config: Config, manifest: Mapping[str, Any], snapshot: Snapshot, release: Release, *, follow: bool) -> Request:
    """To roll `release` out; `follow`: whether nodes may change now."""
    return Request(
        release=release,
        settings=config.spec.rollout,
        follow=follow,
        retry=config.metadata.annotations.get(RETRY_ANNOTATION, ""),
        known={each.metadata.name for each in snapshot.revisions_of(config.name)} | pod_revisions.known(config.name, snapshot),
        fits=pod_revisions.fits_of(config, manifest, snapshot),
    )


def members_of(config: Config, snapshot: Snapshot) -> list[Member]:
    """The nodes of `config`, by name."""
    states = snapshot.states_of(config.name).values()
    return [_member(state, snapshot.proxies.get(state.name), config, snapshot) for state in states]


def spec_of(node: str, proxy: NodeProxy | None, config: Config, step: Step, snapshot: Snapshot) -> NodeProxySpec:
    """What the NodeProxy of a member says after `step`."""
    held, goal = given_of(proxy, config.name), step.moves.get(node) or goal_of(proxy, config.name)
    release = step.orders.get(node) or step.joins.get(node) or held
    begins = release.revision != held.revision or (node in step.moves and release.revision == goal.revision)
    retry = step.status.observed_retry if node in step.moves else _retry_of(proxy)
    follows = node not in step.joins and release != goal
    return NodeProxySpec(
        config_name=config.name,
        revision_name=release.revision,
        pod_revision=release.pod_revision,
        change=_change(node, release.revision, config, step.status, snapshot) if proxy is None or begins else proxy.spec.change,
        next=NextOrder(revision_name=goal.revision, pod_revision=goal.pod_revision, retry=retry) if follows else None,
    )


def _change(node: str, revision: str, config: Config, status: RolloutStatus, snapshot: Snapshot) -> NodeChange:
    """How a node changes to `revision`: to the first one, and to what is known to be good, without a hold or a way back."""
    rollout = config.spec.rollout
    if revision == status.previous_revision or not status.previous_revision:
        return NodeChange(retry=status.observed_retry)
    return NodeChange(
        probes=rollout.probes,
        hold_period=rollout.hold_period,
        on_failure=rollout.on_failure,
        pod=probing.pod_of(node, revision, config, snapshot),
        retry=status.observed_retry,
    )


def _member(state: NodeState, proxy: NodeProxy | None, config: Config, snapshot: Snapshot) -> Member:
    rollout, labels = config.spec.rollout, snapshot.nodes[state.name].metadata.labels or {}
    held, goal = given_of(proxy, config.name), goal_of(proxy, config.name)
    held_s = _held_s(state.name, proxy, config, snapshot)
    on_held = _standing(state, held_s, config)
    standing = on_held if held == goal else _standing_under_way(on_held, state, held, goal)
    is_counted_here = on_held is Standing.HOLDING and held_s is not None
    waited_s = held_s if standing is Standing.HOLDING and held_s is not None else _waited_s(state, standing, snapshot)
    left_s = rollout.hold_period - held_s if is_counted_here and held_s is not None else rollout.progress_deadline - waited_s
    return Member(
        name=state.name,
        release=goal,
        standing=standing,
        retry=_retry_of(proxy),
        pod_revision=state.pod_revision,
        group=labels.get(rollout.topology_key, "") if rollout.topology_key else "",
        canary=rollout.canary.selector is not None and rollout.canary.selector.matches(labels),
        late=standing is not Standing.HEALTHY and waited_s > rollout.progress_deadline,
        left_s=left_s if left_s > 0 and standing is not Standing.HEALTHY else None,
        words=f"node {state.name}: {state.reason}: {state.message}" if state.reason else "",
        held=held,
        runs=proxy.status.observed_revision if proxy is not None else "",
        agent_ready=state.agent_ready,
        held_healthy=on_held is Standing.HEALTHY,
        unobserved=proxy is not None and proxy.status.observed_generation < proxy.metadata.generation,
        awaits_s=probing.awaits_s(state.name, config, snapshot),
    )


def _retry_of(proxy: NodeProxy | None) -> str:
    if proxy is None:
        return ""
    return proxy.spec.next.retry if proxy.spec.next is not None else proxy.spec.change.retry


def _standing_under_way(on_held: Standing, state: NodeState, held: Release, goal: Release) -> Standing:
    """The change is open until the node has all of the goal. While only its pod is new, what the agent says of the old revision does not
    count, but whether it is at work."""
    if on_held is Standing.UNREACHABLE:
        return on_held
    fails = on_held is Standing.FAILED and not (held.revision != goal.revision and state.agent_ready)
    return Standing.FAILED if fails else Standing.CHANGING


def _standing(state: NodeState, held_s: float | None, config: Config) -> Standing:
    if state.health is Health.UNREACHABLE:
        return Standing.UNREACHABLE
    if state.health is Health.FAILING and state.reason != _NOT_APPLIED:
        return Standing.FAILED
    if state.health not in (Health.READY, Health.DEGRADED):
        return Standing.CHANGING
    return Standing.HEALTHY if held_s is not None and held_s >= config.spec.rollout.hold_period else Standing.HOLDING


def _held_s(node: str, proxy: NodeProxy | None, config: Config, snapshot: Snapshot) -> float | None:
    """How much of the hold period is over, were the node healthy now; None while its agent, which counts it itself, has not committed."""
    change, waits = change_of(proxy), snapshot.waits
    if change is not None and change.phase is not ChangePhase.COMMITTED:
        return None
    committed_s = float("inf") if change is not None else waits.steady_s.get(node, 0.0)
    return min(committed_s, _pod_held_s(node, proxy, config, snapshot))


def _pod_held_s(node: str, proxy: NodeProxy | None, config: Config, snapshot: Snapshot) -> float:
    """For how long the agent's pod has been ready, if it is on trial."""
    given, rollout = given_of(proxy, config.name).pod_revision, config.status.rollout
    on_trial = rollout is not None and rollout.previous_pod_revision not in ("", given)
    return snapshot.waits.agent_ready_s.get(node, 0.0) if on_trial else float("inf")


def _waited_s(state: NodeState, standing: Standing, snapshot: Snapshot) -> float:
    waits = snapshot.waits
    if standing is Standing.UNREACHABLE:
        return waits.down_s.get(state.name, 0.0)
    steady_s = waits.steady_s.get(state.name, 0.0) if standing is Standing.HOLDING else 0.0
    return max(waits.unready_s.get(state.name, steady_s), waits.agent_unready_s.get(state.name, 0.0))
