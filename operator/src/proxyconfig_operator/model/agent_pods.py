"""What an agent's pod says about itself, in kubelet's words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from proxyconfig_operator.model.objects import ContainerStatus, Pod, Reason

_STARTING = frozenset({"ContainerCreating", "PodInitializing", ""})
NOT_READY = "AgentNotReady"
"""The reason of `Words` where the container runs, but does not pass its readiness probe."""

_FIRST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Words:
    """A CamelCase reason and a sentence; `trouble` if it will not pass by itself."""

    reason: str
    message: str
    trouble: bool


def newest_by_node(pods: Iterable[Pod]) -> Mapping[str, Pod]:
    """The pod that counts on each node: one that stays rather than one that ends, then the newest."""
    chosen: dict[str, Pod] = {}
    for pod in pods:
        node = pod.spec.node_name
        if node and (node not in chosen or _rank(pod) > _rank(chosen[node])):
            chosen[node] = pod
    return chosen


def words_of(pod: Pod | None) -> Words | None:
    """Why no agent is at work in this pod; None if one is."""
    if pod is None:
        return Words("AgentMissing", "no agent pod has come to the node yet", trouble=False)
    if pod.ending:
        return Words("AgentEnding", "the agent's pod is ending", trouble=False)
    status = pod.status
    if status.phase == "Failed":
        return Words(status.reason or "PodFailed", status.message or "the agent's pod has failed", trouble=True)
    for container in (*(status.init_container_statuses or ()), *(status.container_statuses or ())):
        if words := _words_of(container):
            return words
    if status.phase == "Pending" and not (status.container_statuses or status.init_container_statuses):
        return _unscheduled(pod)
    return None if pod.ready else Words(NOT_READY, "the agent has started and has not programmed the node yet", trouble=False)


def _rank(pod: Pod) -> tuple[bool, datetime, str]:
    return not pod.ending, pod.metadata.creation_timestamp or _FIRST, pod.metadata.name


def _words_of(container: ContainerStatus) -> Words | None:
    """Why a container does not run. One that crashes is described by its end, not by the wait for its next start."""
    waiting, ended = container.state.waiting, container.state.terminated
    if waiting is not None and (waiting.reason or "") in _STARTING:
        return Words("AgentStarting", f"container {container.name} is being started", trouble=False)
    if waiting is not None:
        last = container.last_state.terminated
        after = f" after {_end(last)}" if last else ""
        return Words(waiting.reason or "Waiting", f"container {container.name}: {waiting.message or waiting.reason}{after}", trouble=True)
    if ended is not None and ended.exit_code:
        return Words(ended.reason or "Error", f"container {container.name} ended with {_end(ended)}", trouble=True)
    return None


def _end(ended: Reason) -> str:
    words = (ended.message or "").strip().splitlines()
    return f"exit code {ended.exit_code}{f': {words[-1]}' if words else ''}"


def _unscheduled(pod: Pod) -> Words:
    for condition in pod.status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            return Words(condition.reason or "Unschedulable", condition.message or "the agent's pod is not scheduled", trouble=True)
    return Words("AgentStarting", "the agent's pod is being started", trouble=False)
