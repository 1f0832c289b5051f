"""Removal of a proxy from a node: request it, wait for the proof, release the node. Pure.

The proof is the agent's scan of its kernel: `status.removed.objects` is 0, reported for the generation that requests it.
A deadline ends the wait of a ProxyConfig that is being deleted, not the request. What is not proven by then is reported, and the
NodeProxy keeps action Remove, and the node its label and its agent, until the agent has proven it or the Node is gone.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from proxyconfig_api.objects import names
from proxyconfig_api.objects.nodeproxy import Action, NodeProxy, NodeProxySpec
from proxyconfig_api.spec.sections import RemovalPolicy
from proxyconfig_operator.decide import pod_revisions
from proxyconfig_operator.decide.placement import label, place
from proxyconfig_operator.decide.snapshot import Snapshot
from proxyconfig_operator.model.objects import Config, Node, Pod
from proxyconfig_operator.model.writes import Apply, Delete, Resource, Write

UNPROVEN_ANNOTATION = f"{names.GROUP}/removal-unproven"
"""On a NodeProxy with action Remove: why its node was not waited for any longer. It is reported when this is written, and once."""
NO_REVISION = "none"
"""Named by a NodeProxy that requests a removal from an agent whose ProxyConfig has no revision any more."""


class Step(enum.Enum):
    REQUEST = "request"
    WAIT = "wait"
    GIVE_BACK = "give back"
    """Its agent serves until kube-proxy does, however long that takes."""
    PROVEN = "proven"
    NOTHING = "nothing"
    """No agent has ever run here, so there is nothing to prove."""
    OVERDUE = "overdue"
    """The deadline has passed, or neither the node nor its agent gives a sign of life: to be reported."""
    UNPROVEN = "unproven"
    """Reported as overdue; the request stays."""


_ENDED = (Step.PROVEN, Step.NOTHING, Step.OVERDUE, Step.UNPROVEN)


@dataclass(frozen=True, slots=True)
class Leaving:
    """A node on its way out of a ProxyConfig."""

    node: str
    step: Step
    left_s: float = 0.0
    """Until it is overdue, or to be looked at again, while it is waited for."""
    reason: str = ""
    """Why it is overdue."""
    action: Action = Action.REMOVE
    """What it is asked for."""

    @property
    def done(self) -> bool:
        """Whether a ProxyConfig that is being deleted waits for it no longer."""
        return self.step in _ENDED


def leaving_of(config: Config, snapshot: Snapshot) -> tuple[Leaving, ...]:
    """The nodes that have, or had, the agents of `config` and belong to no ProxyConfig that could have them; by name."""
    held = {name for name, proxy in snapshot.proxies.items() if proxy.spec.config_name == config.name}
    labelled = (name for name, node in snapshot.nodes.items() if node.config_name == config.name)
    held.update(name for name in labelled if name not in snapshot.proxies)  # else it is for the NodeProxy's ProxyConfig to release
    return _leaving((name for name in held if not _stays(name, config, snapshot)), config.name, snapshot)


def orphans_of(snapshot: Snapshot) -> tuple[Leaving, ...]:
    """The nodes that have, or had, agents of a ProxyConfig that has gone, and that no other takes over; by name."""
    orphans: dict[str, list[str]] = {}
    for name, proxy in snapshot.proxies.items():
        orphans.setdefault(proxy.spec.config_name, []).append(name)
    for name, node in snapshot.nodes.items():
        if name not in snapshot.proxies and (owner := node.config_name):
            orphans.setdefault(owner, []).append(name)
    lost = {config: [name for name in held if not snapshot.successor_of(name)] for config, held in orphans.items()}
    found = (_leaving(held, config, snapshot) for config, held in lost.items() if config not in snapshot.configs)
    return tuple(sorted((each for leaving in found for each in leaving), key=lambda each: each.node))


def writes_of(leaving: Leaving, config: str, snapshot: Snapshot) -> tuple[Write, ...]:
    """What the step of a node asks for."""
    proxy, node = snapshot.proxies.get(leaving.node), snapshot.nodes.get(leaving.node)
    match leaving.step:
        case Step.REQUEST if node is not None:
            return (_request(config, proxy, node, leaving.action, snapshot),)
        case Step.GIVE_BACK if proxy is not None and node is not None and _may_return(config, proxy, snapshot):
            return label(node, leaving=config)
        case Step.OVERDUE if proxy is not None and node is not None:
            return (place(node, proxy.spec, {UNPROVEN_ANNOTATION: leaving.reason}),)
        case Step.PROVEN | Step.NOTHING:
            return release(proxy, node)
        case _:
            return ()


def release(proxy: NodeProxy | None, node: Node | None) -> tuple[Write, ...]:
    """Release a node: the agent's pod leaves it with the label, then the NodeProxy goes. In this order, so that a label without a
    NodeProxy always means that somebody else has deleted it."""
    if node is not None and (unlabelled := label(node)):
        return unlabelled
    return (Delete(Resource.NODE_PROXY, proxy.metadata.name, proxy.metadata.uid),) if proxy else ()


def _request(config: str, proxy: NodeProxy | None, node: Node, action: Action, snapshot: Snapshot) -> Apply:
    target = snapshot.targets.get(config)
    revision = proxy.spec.revision_name if proxy is not None else target.revision if target is not None else ""
    return place(node, NodeProxySpec(config_name=config, revision_name=revision or NO_REVISION, action=action))


def _may_return(config: str, proxy: NodeProxy, snapshot: Snapshot) -> bool:
    """Whether kube-proxy may come to a node that is given back: its agent has left what kube-proxy needs, or has not said so in time; and
    the DaemonSet keeps the agent there."""
    left = proxy.status.observed_generation >= proxy.metadata.generation
    late = snapshot.waits.removing_s.get(proxy.metadata.name, 0.0) >= snapshot.removal_deadline_s
    return (left or late) and pod_revisions.keeps_leaving(config, snapshot)


def _action(config: str, proxy: NodeProxy | None, snapshot: Snapshot) -> Action:
    """One whose ProxyConfig has gone does what it was asked for, or else removes everything: the policy that it had is unknown."""
    known = snapshot.configs.get(config)
    if known is None:
        return proxy.spec.action if proxy is not None and proxy.spec.action is not Action.APPLY else Action.REMOVE
    return Action.GIVE_BACK if known.spec.removal_policy is RemovalPolicy.KEEP else Action.REMOVE


def _stays(node: str, config: Config, snapshot: Snapshot) -> bool:
    """Whether it has a ProxyConfig, this one or a successor; or has to keep this one for want of a better one."""
    winner = snapshot.assignment.winners.get(node, "")
    if winner == config.name or snapshot.successor_of(node):
        return True
    return bool(winner) and not config.deleting


def _leaving(nodes: Iterable[str], config: str, snapshot: Snapshot) -> tuple[Leaving, ...]:
    going = sorted(nodes)
    agents = snapshot.agents_of(config) if going else {}
    return tuple(_judged(name, config, snapshot, agents.get(name)) for name in going)


def _judged(name: str, config: str, snapshot: Snapshot, pod: Pod | None) -> Leaving:
    proxy = snapshot.proxies.get(name)
    action = _action(config, proxy, snapshot)
    step = _step(proxy, snapshot.nodes.get(name), pod, action)
    if step is not Step.WAIT:
        return Leaving(name, step, action=action)
    if name not in snapshot.waits.heard and not snapshot.nodes[name].answers:
        return Leaving(name, Step.OVERDUE, reason="neither the node nor its agent gives a sign of life", action=action)
    if proxy is not None and proxy.spec.action is Action.GIVE_BACK:
        return Leaving(name, Step.GIVE_BACK, snapshot.removal_deadline_s, action=action)
    left_s = snapshot.removal_deadline_s - snapshot.waits.removing_s.get(name, 0.0)
    if left_s <= 0:
        return Leaving(name, Step.OVERDUE, reason=f"the agent has not confirmed it within {snapshot.removal_deadline_s:g} s", action=action)
    return Leaving(name, Step.WAIT, left_s, action=action)


def _step(proxy: NodeProxy | None, node: Node | None, pod: Pod | None, action: Action) -> Step:
    """The step as far as the objects tell it; time comes on top."""
    if node is None:
        return Step.NOTHING
    if proxy is not None and _proven(proxy):
        return Step.PROVEN
    if not (proxy is not None and proxy.status.reported) and not (pod is not None and pod.has_run):
        return Step.NOTHING
    if proxy is None or proxy.spec.action is Action.APPLY or _is_given_up(proxy, action):
        return Step.REQUEST
    return Step.UNPROVEN if UNPROVEN_ANNOTATION in proxy.metadata.annotations else Step.WAIT


def _is_given_up(proxy: NodeProxy, action: Action) -> bool:
    """Whether kube-proxy is not to be waited for any longer. The other way round, rules that are asked to go are not kept."""
    return proxy.spec.action is Action.GIVE_BACK and action is Action.REMOVE


def _proven(proxy: NodeProxy) -> bool:
    status = proxy.status
    requested = proxy.spec.action is not Action.APPLY and status.observed_generation >= proxy.metadata.generation
    return requested and status.removed is not None and status.removed.objects == 0
