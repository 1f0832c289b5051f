"""How each node of a ProxyConfig is doing, from what its Node, NodeProxy and agent pod say. Pure."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice

from proxyconfig_api.objects.nodeproxy import NodeProxy
from proxyconfig_api.objects.proxyconfig import WORST_LIMIT, WorstNode
from proxyconfig_api.rollout.release import Release, given_of
from proxyconfig_api.status.conditions import ConditionStatus, condition
from proxyconfig_api.status.rollout import ChangePhase, ChangeStatus
from proxyconfig_operator.model.agent_pods import NOT_READY, words_of
from proxyconfig_operator.model.objects import Node, Pod
from proxyconfig_operator.model.waits import APPLY_S, Waits

MESSAGE_LIMIT = 1000
_PASSING = ("Starting", "Removed", "WaitingForKubeProxy")
"""What an agent says on its way to Ready; a node that comes back was removed before."""
_SILENT = "AgentSilent", "no heartbeat from the agent: it cannot reach the API server or read the cluster, and its rules may be stale"
_MUTE = "NotReported", "no report from the agent since its pod started: it cannot reach the API server or read the cluster"
_UNHEARD = (_SILENT[0], _MUTE[0])
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
    pod_revision: str = ""
    """Of the agent's pod; empty if there is none."""
    reason: str = ""
    message: str = ""
    mode: str = ""
    """The mode that runs there; empty if none does, or it is not known."""
    agent_ready: bool = False
    """Whether it has the pod that it was given, and the agent in it is at work."""
    other_proxy: str = ""
    """The reason of its condition OtherProxyPresent; empty where that is not True."""

    @property
    def serves(self) -> bool:
        return self.updated and self.health in (Health.READY, Health.DEGRADED)

    def with_pods_of(self, pod_revision: str) -> NodeState:
        """Where the pods of agents shall be of this revision as well; empty: of any."""
        return self if pod_revision in ("", self.pod_revision) else replace(self, updated=False)


def state_of(node: Node, proxy: NodeProxy | None, pod: Pod | None, waits: Waits, *, config: str, revision: str) -> NodeState:
    """The state of one node of `config`, judged by the release that it was given; `revision` is the one that all shall have."""
    given = given_of(proxy, config)
    applied = proxy is not None and _applied(proxy, given.revision)
    health, reason, message = _outdated(node, given, pod) or _judge(
        node, proxy, pod, waits, applied=applied, revision=given.revision or revision
    )
    mode, pod_revision = proxy.status.mode.effective if proxy is not None else "", pod.pod_revision if pod is not None else ""
    updated = applied and given.revision == revision
    ready = node.answers and words_of(pod) is None and given.pod_revision in ("", pod_revision) and reason not in _UNHEARD
    return NodeState(node.metadata.name, health, updated, pod_revision, reason, message[:MESSAGE_LIMIT], mode, ready, _other_proxy(proxy))


def _other_proxy(proxy: NodeProxy | None) -> str:
    found = condition(proxy.status.conditions, "OtherProxyPresent") if proxy is not None else None
    return found.reason if found is not None and found.status is ConditionStatus.TRUE else ""


def change_of(proxy: NodeProxy | None) -> ChangeStatus | None:
    """The agent's report of the change to the revision that the node was given."""
    change = proxy.status.change if proxy is not None else None
    if proxy is None or change is None or proxy.status.observed_generation < proxy.metadata.generation:
        return None
    return change if change.revision == proxy.spec.revision_name else None


def _holds(proxy: NodeProxy) -> bool:
    """Whether the new revision serves and the hold period is not over; the agent reports it as observed after that."""
    change = proxy.status.change
    return change is not None and change.revision == proxy.spec.revision_name and change.phase is ChangePhase.HOLDING


def worst_of(states: Iterable[NodeState], before: Iterable[WorstNode] = ()) -> tuple[WorstNode, ...]:
    """Of `states`, worst first, those that are not simply ready; at most as many as a status may name.

    Kubelet says ErrImagePull and ImagePullBackOff in turns about one image; the words of `before` stay while only that changes.
    """
    known = {each.node: each for each in before}
    bad = (state for state in states if state.health is not Health.READY)
    return tuple(_named(state, known.get(state.name)) for state in islice(bad, WORST_LIMIT))


def _applied(proxy: NodeProxy, given: str) -> bool:
    status = proxy.status
    return bool(given) and status.observed_revision == given and status.observed_generation >= proxy.metadata.generation


def _outdated(node: Node, given: Release, pod: Pod | None) -> tuple[Health, str, str] | None:
    """That the pod is to be replaced: how it does tells nothing of the one to come."""
    if pod is None or pod.ending or not node.answers or given.pod_revision in ("", pod.pod_revision):
        return None
    words = f"the agent's pod is of pod revision {pod.pod_revision or 'none'}; {given.pod_revision} is requested"
    return Health.PENDING, "AgentOutdated", words


def _judge(node: Node, proxy: NodeProxy | None, pod: Pod | None, waits: Waits, *, applied: bool, revision: str) -> tuple[Health, str, str]:
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
    if proxy is None or ready is None or node.metadata.name in waits.starting:
        return Health.PENDING, "NotReported", "the agent runs and has not reported yet"
    return _reported(proxy, late=node.metadata.name in waits.late, applied=applied, revision=revision)


def _reported(proxy: NodeProxy, *, late: bool, applied: bool, revision: str) -> tuple[Health, str, str]:
    ready, degraded = (condition(proxy.status.conditions, kind) for kind in ("Ready", "Degraded"))
    if ready is not None and ready.status is not ConditionStatus.TRUE:
        return Health.PENDING if ready.reason in _PASSING else Health.FAILING, ready.reason, ready.message
    if (change := _changing(proxy, applied=applied, revision=revision)) is not None:
        return change
    if not applied or ready is None:
        has = proxy.status.observed_revision or "no revision"
        message = f"has {has}; {revision or 'no revision'} is requested"
        if late:
            return Health.FAILING, "NotApplied", f"{message} and was not applied within {APPLY_S:g} s"
        return Health.PENDING, "Applying", message
    if degraded is not None and degraded.status is ConditionStatus.TRUE:
        return Health.DEGRADED, degraded.reason, degraded.message
    return Health.READY, "", ""


def _changing(proxy: NodeProxy, *, applied: bool, revision: str) -> tuple[Health, str, str] | None:
    """What the agent says of the change, if it has failed or is not committed yet."""
    change = change_of(proxy)
    if change is not None and (change.reason or change.phase is ChangePhase.ROLLED_BACK):
        return Health.FAILING, change.reason or "RolledBack", words_of_change(change)
    if not applied and _holds(proxy):
        return Health.PENDING, "Holding", f"runs {revision}, and can still go back at once"
    return None


def words_of_change(change: ChangeStatus) -> str:
    """Why a change has failed: the words of the first probe that did, else those of the agent."""
    probe = change.failed_probe
    return f"probe {probe.name} failed: {probe.message}" if probe is not None else change.message


def _named(state: NodeState, before: WorstNode | None) -> WorstNode:
    both_pull = before is not None and state.reason in _PULLING and before.reason in _PULLING
    if before is not None and both_pull and _image(before.message) == _image(state.message):
        return before
    return WorstNode(node=state.name, reason=state.reason or "Unknown", message=state.message)


def _image(message: str) -> str:
    found = re.search(r'image "([^"]+)"', message)
    return found[1] if found else ""
