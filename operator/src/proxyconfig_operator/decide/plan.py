"""What is to be written for one ProxyConfig, in which order, given everything that is known. Pure.

`prepare` makes what nodes are about to refer to. Only then is status written, so that it never claims an older truth while nodes
change. `move` changes nodes: those whose turn it is, see `rollout`. `finish` releases the ProxyConfig itself.
Carried out only in part, or twice, a plan does no harm: the next one starts from what is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from proxyconfig_api.objects import names
from proxyconfig_api.rollout.release import given_of, goal_of
from proxyconfig_api.spec.sections import RemovalPolicy
from proxyconfig_api.status.plan import PlanStatus
from proxyconfig_api.status.rollout import RolloutPhase, RolloutStatus
from proxyconfig_operator.decide import agent_daemonset, pending, placement, pod_revisions, probing, removal, revisions, rollouts
from proxyconfig_operator.decide.removal import Leaving, Step
from proxyconfig_operator.decide.revisions import Verdict
from proxyconfig_operator.decide.snapshot import Snapshot
from proxyconfig_operator.model.objects import Config, DaemonSet
from proxyconfig_operator.model.writes import Apply, Delete, Resource, Write
from proxyconfig_operator.rollout.admission import admit
from proxyconfig_operator.rollout.planner import Step as RolloutStep


@dataclass(frozen=True, slots=True)
class Plan:
    prepare: tuple[Write, ...] = ()
    move: tuple[Write, ...] = ()
    finish: tuple[Write, ...] = ()
    leaving: tuple[Leaving, ...] = ()
    rollout: RolloutStatus | None = None
    """Of the status, which is written before the moves."""
    pending: PlanStatus | None = None
    """Of the status as well: what waits while the rollout is paused."""
    awaited: tuple[str, ...] = ()
    """Nodes whose change waits for their probe pods."""
    overdue: tuple[str, ...] = ()
    """The words of nodes that have not become ready in time in a first installation."""
    again_in_s: float | None = None
    """When to plan again although nothing may have happened by then."""


def plan_of(config: Config, snapshot: Snapshot) -> Plan:
    """The plan for one ProxyConfig of the snapshot."""
    return _deletion(config, snapshot) if config.deleting else _service(config, snapshot)


def orphan_plan(snapshot: Snapshot) -> Plan:
    """The plan for nodes and agents whose ProxyConfig has gone: it could not wait for them, or lost its finalizer to an administrator."""
    leaving = removal.orphans_of(snapshot)
    held = {name: _config_on(name, snapshot) for name in (each.node for each in leaving)}
    move = [write for each in leaving for write in removal.writes_of(each, held[each.node], snapshot)]
    kept = {*snapshot.configs, *held.values()}
    retired = [each for _, each in sorted(snapshot.daemonsets.items()) if each.metadata.label(names.CONFIG_LABEL) not in kept]
    return Plan(move=(*move, *(write for each in retired for write in _retired(each))), leaving=leaving, again_in_s=_soonest(leaving))


def _service(config: Config, snapshot: Snapshot) -> Plan:
    """Bring the members to their target, and release the others."""
    target, leaving = snapshot.targets[config.name], removal.leaving_of(config, snapshot)
    manifest = agent_daemonset.render(config, snapshot.installation)
    step = rollouts.step(config, manifest, snapshot)
    moves, more = _placings(config, step, snapshot) if step is not None else ((), False)
    agents = _agents(config, manifest, step, snapshot) if step is not None else ()
    return Plan(
        prepare=(*_finalizer(config), *((target.create,) if target.create else ()), *agents),
        move=(
            *moves,
            *probing.writes_of(config, step, snapshot),
            *_removals(leaving, config, snapshot),
            *_superseded(config, manifest, step, snapshot),
        ),
        leaving=leaving,
        rollout=step.status if step is not None else None,
        pending=pending.pending_of(config, manifest, snapshot),
        awaited=step.awaited if step is not None else (),
        overdue=step.overdue if step is not None else (),
        again_in_s=0.0 if more else _first(_soonest(leaving), step.again_in_s if step is not None else None),
    )


def _placings(config: Config, step: RolloutStep, snapshot: Snapshot) -> tuple[tuple[Write, ...], bool]:
    """What places the members: the whole wave, and of all others as many as go into a pass; and whether some are left for the next."""
    members, waved = snapshot.assignment.members[config.name], [name for name in step.moves if step.status.waves]
    writes = {name: _placing(config, name, step, snapshot) for name in members}
    in_waves = frozenset(waved)
    others, more = admit([each for name, each in writes.items() if each and name not in in_waves])
    placed = tuple(write for each in (*(writes[name] for name in waved), *others) for write in each)
    return (*placed, *pod_revisions.outdated(config, step, snapshot)), more


def _placing(config: Config, node: str, step: RolloutStep, snapshot: Snapshot) -> tuple[Write, ...]:
    proxy = snapshot.proxies.get(node)
    wanted = rollouts.spec_of(node, proxy, config, step, snapshot)
    return placement.writes_of(wanted, snapshot.nodes[node], proxy)


def _superseded(config: Config, manifest: Mapping[str, Any], step: RolloutStep | None, snapshot: Snapshot) -> tuple[Write, ...]:
    orders = [each(proxy, config.name) for proxy in snapshot.proxies.values() for each in (given_of, goal_of)]
    given = {proxy.spec.revision_name for proxy in snapshot.proxies.values() if proxy.spec.config_name == config.name}
    rollout = step.status if step is not None else RolloutStatus()
    goal = {rollout.revision} if rollout.phase is RolloutPhase.COMPLETE else {rollout.revision, rollout.previous_revision}
    in_use = given | {each.revision for each in orders} | goal | {snapshot.targets[config.name].revision}
    old = revisions.superseded(snapshot.revisions_of(config.name), in_use, config.spec.rollout.revision_history_limit)
    return (*old, *pod_revisions.superseded(config, manifest, rollout, snapshot))


def _first(*seconds: float | None) -> float | None:
    return min((each for each in seconds if each is not None), default=None)


def _deletion(config: Config, snapshot: Snapshot) -> Plan:
    """Have everything removed; release the ProxyConfig when no node is left but those that are reported as unproven."""
    if names.FINALIZER not in config.metadata.finalizers:
        return Plan()
    leaving = removal.leaving_of(config, snapshot)
    # The first deadline is for the proofs; as long again for what follows them: another ProxyConfig takes a node over, pods end.
    left_s = 2 * snapshot.removal_deadline_s - snapshot.waits.deleting_s.get(config.name, 0.0)
    unfinished = left_s > 0 and (_handed_over(config, snapshot) or _agents_end(config, leaving, snapshot))
    if unfinished or any(each.step is not Step.UNPROVEN for each in leaving):
        again_in_s = _first(_soonest(leaving), left_s if unfinished else None)
        kept = tuple(pod_revisions.as_it_is(config, snapshot)) if config.spec.removal_policy is RemovalPolicy.KEEP else ()
        return Plan(prepare=kept, move=_removals(leaving, config, snapshot), leaving=leaving, again_in_s=again_in_s)
    agents = () if leaving else tuple(_retired(snapshot.daemonset_of(config.name)))
    return Plan(move=agents, finish=(_own(config, ()),), leaving=leaving)


def _removals(leaving: tuple[Leaving, ...], config: Config, snapshot: Snapshot) -> tuple[Write, ...]:
    return tuple(write for each in leaving for write in removal.writes_of(each, config.name, snapshot))


def _soonest(leaving: tuple[Leaving, ...]) -> float | None:
    """When the first of the nodes that are waited for is overdue, or to be looked at again."""
    return min((each.left_s for each in leaving if each.step in (Step.WAIT, Step.GIVE_BACK)), default=None)


def _agents_end(config: Config, leaving: tuple[Leaving, ...], snapshot: Snapshot) -> bool:
    """Whether pods of agents are still to end. A ProxyConfig of the same name may follow at once, and the DaemonSet controller
    takes the pods of a DaemonSet for those of the next one with its name: it starts none where it still sees one (1.36)."""
    kept = {each.node for each in leaving}
    ending = (node for node in snapshot.agents_of(config.name) if node in snapshot.nodes and node not in kept)
    return any(snapshot.nodes[node].answers for node in ending)


def _config_on(node: str, snapshot: Snapshot) -> str:
    """The ProxyConfig whose agent a node has, by its NodeProxy or else by its label."""
    proxy = snapshot.proxies.get(node)
    return proxy.spec.config_name if proxy is not None else snapshot.nodes[node].config_name


def _agents(config: Config, manifest: Mapping[str, Any], step: RolloutStep, snapshot: Snapshot) -> Iterator[Write]:
    """The DaemonSet, if it is not what the rollout asks for, and before it what there is to go back to."""
    if snapshot.targets[config.name].verdict is Verdict.FOLLOW:
        yield from pod_revisions.created(config, manifest, snapshot)
    yield from pod_revisions.daemonset(config, manifest, step, snapshot)


def _retired(agents: DaemonSet | None) -> Iterator[Write]:
    if agents is not None:
        yield Delete(Resource.DAEMON_SET, agents.metadata.name, agents.metadata.uid)


def _handed_over(config: Config, snapshot: Snapshot) -> bool:
    """Whether a successor is about to take nodes that it has not placed itself on yet."""
    held = (name for name, proxy in snapshot.proxies.items() if proxy.spec.config_name == config.name and name in snapshot.nodes)
    return any(snapshot.successor_of(name) for name in held)


def _finalizer(config: Config) -> Iterator[Write]:
    if names.FINALIZER not in config.metadata.finalizers:
        yield _own(config, (names.FINALIZER,))


def _own(config: Config, finalizers: tuple[str, ...]) -> Apply:
    """All that we own outside of status. With the uid, a ProxyConfig that is gone is not made anew."""
    metadata = {"name": config.name, "uid": config.metadata.uid, "finalizers": list(finalizers)}
    return Apply(Resource.PROXY_CONFIG, config.name, {"apiVersion": names.API_VERSION, "kind": "ProxyConfig", "metadata": metadata})
