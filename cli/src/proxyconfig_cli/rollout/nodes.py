"""Nodes of a ProxyConfig as a rollout sees them, from what the API server has of them. Pure."""

from __future__ import annotations

import msgspec

from proxyconfig_api.objects.metadata import Metadata
from proxyconfig_api.objects.nodeproxy import NodeProxy
from proxyconfig_api.rollout.member import Member, Standing
from proxyconfig_api.rollout.release import goal_of
from proxyconfig_api.spec.rollout import Rollout
from proxyconfig_api.status.conditions import is_true


class NodeCondition(msgspec.Struct, frozen=True):
    type: str = ""
    status: str = ""


class NodeStatus(msgspec.Struct, frozen=True):
    conditions: tuple[NodeCondition, ...] | None = None


class Node(msgspec.Struct, frozen=True):
    metadata: Metadata
    status: NodeStatus = NodeStatus()

    @property
    def answers(self) -> bool:
        """Whether kubelet reports. One that says Ready=False does: the node may wait for its network, and its agent works."""
        return any(each.type == "Ready" and each.status in ("True", "False") for each in self.status.conditions or ())


def member_of(node: Node, proxy: NodeProxy | None, config: str, rollout: Rollout) -> Member:
    """A node that `config` has, or will have: then it has no release of it yet, and will be healthy if it answers. The operator knows more
    of it: heartbeats of agents, their pods, and for how long it was healthy."""
    selector, labels = rollout.canary.selector, node.metadata.labels
    release = goal_of(proxy, config)
    return Member(
        name=node.metadata.name,
        release=release,
        standing=_standing(node, proxy if release else None),
        group=labels.get(rollout.topology_key, "") if rollout.topology_key else "",
        canary=selector is not None and selector.matches(labels),
    )


def _standing(node: Node, proxy: NodeProxy | None) -> Standing:
    if not node.answers:
        return Standing.UNREACHABLE
    serves = proxy is None or (is_true(proxy.status.conditions, "Ready") and proxy.status.observed_revision == proxy.spec.revision_name)
    return Standing.HEALTHY if serves else Standing.CHANGING
