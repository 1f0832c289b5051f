"""Taking a proxy away from a node: ask its agent, wait for the proof, let go. Pure.

The proof is the agent's scan of its kernel: `status.removed.objects` is 0, reported for the generation that asks for it.
Nothing is waited for beyond a deadline, so a dead node or agent holds nobody up for ever.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta

from proxyconfig_api import names
from proxyconfig_api.nodeproxy import Action, NodeProxy, NodeProxySpec
from proxyconfig_operator.decide.placement import place
from proxyconfig_operator.decide.snapshot import Snapshot
from proxyconfig_operator.model.objects import Config, Node, Pod
from proxyconfig_operator.model.writes import Delete, Resource, Unlabel, Write

DEADLINE_ANNOTATION = f"{names.GROUP}/removal-deadline"
"""On a NodeProxy with action Remove: when its node is let go without proof. Kept there, it outlives the operator."""


class Step(enum.Enum):
    ASK = "ask"
    WAIT = "wait"
    PROVEN = "proven"
    NOTHING = "nothing"
    """No agent has ever reported here, so there is nothing to prove."""
    GIVE_UP = "give up"
    """The deadline has passed, or the node is gone or does not answer."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """A node on its way out of a ProxyConfig."""

    node: str
    step: Step
    deadline: datetime

    @property
    def done(self) -> bool:
        return self.step not in (Step.ASK, Step.WAIT)


def leaving_of(config: Config, world: Snapshot) -> tuple[Leaving, ...]:
    """The nodes that have, or had, the agents of `config` and belong to no ProxyConfig that could have them; by name."""
    held = {name for name, proxy in world.proxies.items() if proxy.spec.config_name == config.name}
    labelled = (name for name, node in world.nodes.items() if node.metadata.label(names.CONFIG_LABEL) == config.name)
    held.update(name for name in labelled if name not in world.proxies)  # else it is for the NodeProxy's ProxyConfig to let go
    going = sorted(name for name in held if not _stays(name, config, world))
    agents = world.agents_of(config.name) if going else {}
    return tuple(_leaving(name, config, world, agents.get(name)) for name in going)


def writes_of(leaving: Leaving, world: Snapshot) -> tuple[Write, ...]:
    """What the step of a node asks for."""
    proxy, node = world.proxies.get(leaving.node), world.nodes.get(leaving.node)
    match leaving.step:
        case Step.WAIT:
            return ()
        case Step.ASK if proxy is not None and node is not None:
            spec = NodeProxySpec(config_name=proxy.spec.config_name, revision_name=proxy.spec.revision_name, action=Action.REMOVE)
            return (place(node, spec, {DEADLINE_ANNOTATION: leaving.deadline.strftime("%Y-%m-%dT%H:%M:%SZ")}),)
        case _:
            return release(proxy, node)


def release(proxy: NodeProxy | None, node: Node | None) -> tuple[Write, ...]:
    """Let go of a node: the agent's pod leaves it with the label."""
    deletion = (Delete(Resource.NODE_PROXY, proxy.metadata.name, proxy.metadata.uid),) if proxy else ()
    labelled = node is not None and node.metadata.label(names.CONFIG_LABEL)
    return (*deletion, Unlabel(node.metadata.name, node.metadata.uid, names.CONFIG_LABEL)) if node and labelled else deletion


def _stays(node: str, config: Config, world: Snapshot) -> bool:
    """Whether it has a ProxyConfig, this one or an heir; or has to keep this one for want of a better one."""
    winner = world.assignment.winners.get(node, "")
    if winner == config.name or world.heir_of(node):
        return True
    return bool(winner) and not config.deleting


def _leaving(name: str, config: Config, world: Snapshot, pod: Pod | None) -> Leaving:
    proxy, node = world.proxies.get(name), world.nodes.get(name)
    deadline = _deadline(config, proxy, world)
    return Leaving(name, _step(config, proxy, node, pod, late=world.now >= deadline), deadline)


def _step(config: Config, proxy: NodeProxy | None, node: Node | None, pod: Pod | None, *, late: bool) -> Step:
    if proxy is None or node is None:
        return Step.NOTHING
    if _proven(proxy):
        return Step.PROVEN
    if not proxy.status.reported and (pod is None or not pod.status.container_statuses):
        return Step.NOTHING
    if late and proxy.spec.action is Action.REMOVE:
        return Step.GIVE_UP
    if proxy.spec.action is not Action.REMOVE:
        return Step.ASK
    return Step.GIVE_UP if config.deleting and not node.reachable else Step.WAIT


def _proven(proxy: NodeProxy) -> bool:
    status = proxy.status
    asked = proxy.spec.action is Action.REMOVE and status.observed_generation >= proxy.metadata.generation
    return asked and status.removed is not None and status.removed.objects == 0


def _deadline(config: Config, proxy: NodeProxy | None, world: Snapshot) -> datetime:
    span = timedelta(seconds=world.removal_deadline_s)
    if config.metadata.deletion_timestamp is not None:
        return config.metadata.deletion_timestamp + span
    noted = proxy.metadata.annotations.get(DEADLINE_ANNOTATION, "") if proxy and proxy.spec.action is Action.REMOVE else ""
    try:
        return datetime.fromisoformat(noted) if noted else world.now + span
    except ValueError:
        return world.now
