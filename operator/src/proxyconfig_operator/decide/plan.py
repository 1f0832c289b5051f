"""What is to be written for one ProxyConfig, in which order, given everything that is known. Pure.

`prepare` makes what nodes are about to refer to. Only then is status told, so that it never claims an older truth while nodes
change. `move` changes nodes: a part of them per pass, see `rollout`. `finish` lets the ProxyConfig itself go.
Carried out only in part, or twice, a plan does no harm: the next one starts from what is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from proxyconfig_api import names
from proxyconfig_operator.decide import agent_daemonset, placement, removal, revisions
from proxyconfig_operator.decide.removal import Leaving, Step
from proxyconfig_operator.decide.revisions import Verdict
from proxyconfig_operator.decide.snapshot import Snapshot
from proxyconfig_operator.model.objects import Config, DaemonSet
from proxyconfig_operator.model.writes import Apply, Delete, Resource, Write
from proxyconfig_operator.rollout import waves


@dataclass(frozen=True, slots=True)
class Plan:
    prepare: tuple[Write, ...] = ()
    move: tuple[Write, ...] = ()
    finish: tuple[Write, ...] = ()
    leaving: tuple[Leaving, ...] = ()
    again_in_s: float | None = None
    """When to plan again although nothing may have happened by then."""


def plan_of(config: Config, world: Snapshot) -> Plan:
    """The plan for one ProxyConfig of the world."""
    return _farewell(config, world) if config.deleting else _service(config, world)


def strays_of(world: Snapshot) -> tuple[Write, ...]:
    """Let go of nodes and agents whose ProxyConfig is no more: its finalizer was taken away by hand."""
    lost = {name for name, proxy in world.proxies.items() if proxy.spec.config_name not in world.configs}
    for name, node in world.nodes.items():
        label = node.metadata.label(names.CONFIG_LABEL)
        if label and label not in world.configs:
            lost.add(name)
    homeless = [name for name in sorted(lost) if not world.heir_of(name)]
    releases = (removal.release(world.proxies.get(name), world.nodes.get(name)) for name in homeless)
    orphans = [each for _, each in sorted(world.daemonsets.items()) if each.metadata.label(names.CONFIG_LABEL) not in world.configs]
    return (*(write for writes in releases for write in writes), *(write for each in orphans for write in _retired(each)))


def _service(config: Config, world: Snapshot) -> Plan:
    """Bring the members to their target, and let the others go."""
    target, leaving = world.targets[config.name], removal.leaving_of(config, world)
    moves, more = waves.admit([writes for node in world.assignment.members[config.name] if (writes := _placing(config, node, world))])
    in_use = {proxy.spec.revision_name for proxy in world.proxies.values() if proxy.spec.config_name == config.name} | {target.revision}
    old = revisions.superseded(world.revisions_of(config.name), in_use)
    waits = [(each.deadline - world.now).total_seconds() for each in leaving if each.step is Step.WAIT]
    return Plan(
        prepare=(*_finalizer(config), *((target.create,) if target.create else ()), *_agents(config, world)),
        move=(
            *(write for writes in moves for write in writes),
            *(write for each in leaving for write in removal.writes_of(each, world)),
            *old,
        ),
        leaving=leaving,
        again_in_s=0.0 if more else max(0.0, min(waits)) if waits else None,
    )


def _farewell(config: Config, world: Snapshot) -> Plan:
    """Have everything removed; let the ProxyConfig go when that is proven, or when nobody is left to wait for, or too late."""
    if names.FINALIZER not in config.metadata.finalizers or config.metadata.deletion_timestamp is None:
        return Plan()
    leaving, handed = removal.leaving_of(config, world), _handed_over(config, world)
    left_s = world.removal_deadline_s - (world.now - config.metadata.deletion_timestamp).total_seconds()
    if left_s > 0 and (handed or not all(each.done for each in leaving)):
        return Plan(move=tuple(write for each in leaving for write in removal.writes_of(each, world)), leaving=leaving, again_in_s=left_s)
    releases = (removal.release(world.proxies.get(each.node), world.nodes.get(each.node)) for each in leaving)
    move = tuple(write for writes in releases for write in writes)
    if left_s > 0 and _agents_go(config, world):
        return Plan(move=move, leaving=leaving, again_in_s=left_s)
    return Plan(move=move, finish=(*_retired(world.daemonset_of(config.name)), _own(config, ())), leaving=leaving)


def _agents_go(config: Config, world: Snapshot) -> bool:
    """Whether pods of agents are still to end. A ProxyConfig of the same name may follow at once, and the DaemonSet controller
    takes the pods of a DaemonSet for those of the next one with its name: it starts none where it still sees one (1.36)."""
    return any(world.nodes[node].reachable for node in world.agents_of(config.name) if node in world.nodes)


def _placing(config: Config, node: str, world: Snapshot) -> tuple[Write, ...]:
    target = world.targets[config.name]
    if not target.revision:
        return ()
    return placement.writes_of(config, target, world.nodes[node], world.proxies.get(node))


def _agents(config: Config, world: Snapshot) -> Iterator[Write]:
    """The DaemonSet, if it is not what it should be. It is left alone while paused, for a change of it restarts agents."""
    target, existing = world.targets[config.name], world.daemonset_of(config.name)
    paused = target.verdict is Verdict.PAUSED and existing is not None
    if not target.revision or paused or config.problem:
        return
    wanted = agent_daemonset.render(config, world.installation)
    if agent_daemonset.differs(wanted, existing):
        yield Apply(Resource.DAEMON_SET, agent_daemonset.name_of(config.name), wanted)


def _retired(agents: DaemonSet | None) -> Iterator[Write]:
    if agents is not None:
        yield Delete(Resource.DAEMON_SET, agents.metadata.name, agents.metadata.uid)


def _handed_over(config: Config, world: Snapshot) -> list[str]:
    """Nodes that an heir is about to take; it has not placed itself on them yet."""
    mine = (name for name, proxy in world.proxies.items() if proxy.spec.config_name == config.name and name in world.nodes)
    return [name for name in mine if world.heir_of(name)]


def _finalizer(config: Config) -> Iterator[Write]:
    if names.FINALIZER not in config.metadata.finalizers:
        yield _own(config, (names.FINALIZER,))


def _own(config: Config, finalizers: tuple[str, ...]) -> Apply:
    """All that we own outside of status. With the uid, a ProxyConfig that is gone is not made anew."""
    metadata = {"name": config.name, "uid": config.metadata.uid, "finalizers": list(finalizers)}
    return Apply(Resource.PROXY_CONFIG, config.name, {"apiVersion": names.API_VERSION, "kind": "ProxyConfig", "metadata": metadata})
