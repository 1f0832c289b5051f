"""How each node of a ProxyConfig is doing, from what its Node, NodeProxy and agent pod say. Pure."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from proxyconfig_api.nodeproxy import Action, NodeProxy
from proxyconfig_api.proxyconfig import WORST_LIMIT, WorstNode
from proxyconfig_api.status.conditions import ConditionStatus, condition
from proxyconfig_operator.decide.waits import APPLY_S, Waits
from proxyconfig_operator.model.agent_pods import NOT_READY, words_of
from proxyconfig_operator.model.objects import Node, Pod

MESSAGE_LIMIT = 1000
_PASSING = ("Starting", "Removed")
"""What an agent says on its way to Ready; a node that comes back was removed before."""
_SILENT = "AgentSilent", "no heartbeat from the agent: it cannot reach the API server or read the cluster, and its rules may be stale"
_MUTE = "NotReported", "no report from the agent since its pod started: it cannot reach the API server or read the cluster"
_PULLING = ("ErrImagePull", "ImagePullBackOff")


class Health(enum.IntEnum):
    """Worst first."""

    FAILING = 0
    UNREACHABLE = 1
    DEGRADED = 2
    """It serves, but not all that was asked for."""
    PENDING = 3
    READY = 4


@dataclass(frozen=True, slots=True)
class NodeState:
    name: str
    health: Health
    updated: bool
    """Its agent has applied the revision that the nodes shall have."""
    reason: str = ""
    message: str = ""
    mode: str = ""
    """The mode that runs there; empty if none does, or it is not known."""

    @property
    def serves(self) -> bool:
        return self.updated and self.health in (Health.READY, Health.DEGRADED)


def state_of(node: Node, proxy: NodeProxy | None, pod: Pod | None, waits: Waits, *, config: str, revision: str) -> NodeState:
    """The state of one node of `config` whose nodes are to be on `revision`."""
    updated = proxy is not None and _updated(proxy, config, revision)
    health, reason, message = _judge(node, proxy, pod, waits, updated=updated, revision=revision)
    mode = proxy.status.mode.effective if proxy is not None else ""
    return NodeState(node.metadata.name, health, updated, reason, message[:MESSAGE_LIMIT], mode)


def worst_of(states: Iterable[NodeState], before: Iterable[WorstNode] = ()) -> tuple[WorstNode, ...]:
    """Of `states`, worst first, those that are not simply ready; at most as many as a status may name.

    Kubelet says ErrImagePull and ImagePullBackOff in turns about one image; the words of `before` stay while only that changes.
    """
    known = {each.node: each for each in before}
    bad = (state for state in states if state.health is not Health.READY)
    return tuple(_named(state, known.get(state.name)) for state in islice(bad, WORST_LIMIT))


def _updated(proxy: NodeProxy, config: str, revision: str) -> bool:
    spec, status = proxy.spec, proxy.status
    asked = spec.config_name == config and spec.revision_name == revision and spec.action is Action.APPLY
    return asked and status.observed_revision == revision and status.observed_generation >= proxy.metadata.generation


def _judge(node: Node, proxy: NodeProxy | None, pod: Pod | None, waits: Waits, *, updated: bool, revision: str) -> tuple[Health, str, str]:
    """What kubelet says of the node and the pod comes first, then whether the agent is heard at all, then what it says."""
    if not node.answers:
        return Health.UNREACHABLE, node.ready.reason or "NodeNotReady", node.ready.message or "kubelet has stopped reporting"
    words = words_of(pod)
    if words is not None and words.reason != NOT_READY:
        return Health.FAILING if words.trouble else Health.PENDING, words.reason, words.message
    ready = condition(proxy.status.conditions, "Ready") if proxy is not None else None
    if node.metadata.name not in waits.heard:
        return Health.FAILING, *(_MUTE if ready is None else _SILENT)
    # The pod of an agent that has programmed nothing is not Ready; if the agent has said why, that counts.
    if words is not None and (ready is None or ready.status is ConditionStatus.TRUE):
        return Health.PENDING, words.reason, words.message
    if proxy is None or ready is None:
        return Health.PENDING, "NotReported", "the agent runs and has not reported yet"
    return _reported(proxy, late=node.metadata.name in waits.late, updated=updated, revision=revision)


def _reported(proxy: NodeProxy, *, late: bool, updated: bool, revision: str) -> tuple[Health, str, str]:
    ready, degraded = (condition(proxy.status.conditions, kind) for kind in ("Ready", "Degraded"))
    if ready is not None and ready.status is not ConditionStatus.TRUE:
        return Health.PENDING if ready.reason in _PASSING else Health.FAILING, ready.reason, ready.message
    if not updated or ready is None:
        has = proxy.status.observed_revision or "no revision"
        message = f"has {has}; {revision or 'no revision'} is requested"
        if late:
            return Health.FAILING, "NotApplied", f"{message} and was not applied within {APPLY_S:g} s"
        return Health.PENDING, "Applying", message
    if degraded is not None and degraded.status is ConditionStatus.TRUE:
        return Health.DEGRADED, degraded.reason, degraded.message
    return Health.READY, "", ""


def _named(state: NodeState, before: WorstNode | None) -> WorstNode:
    both_pull = before is not None and state.reason in _PULLING and before.reason in _PULLING
    if before is not None and both_pull and _image(before.message) == _image(state.message):
        return before
    return WorstNode(node=state.name, reason=state.reason or "Unknown", message=state.message)


def _image(message: str) -> str:
    found = re.search(r'image "([^"]+)"', message)
    return found[1] if found else ""
