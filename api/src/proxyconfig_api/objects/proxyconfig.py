"""ProxyConfig: what users write, and what the operator tells them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from proxyconfig_api.encoding import codec
from proxyconfig_api.encoding.errors import InvalidSpec
from proxyconfig_api.objects.metadata import Metadata
from proxyconfig_api.spec.contradictions import contradictions
from proxyconfig_api.spec.sections import ProxyConfigSpec
from proxyconfig_api.status.conditions import NOT_OBSERVED, Condition
from proxyconfig_api.status.plan import PlanStatus
from proxyconfig_api.status.rollout import RolloutStatus
from proxyconfig_api.status.shadow import FleetShadow

WORST_LIMIT = 20
"""The most nodes that a status names."""


class NodeCounts(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Nodes of one ProxyConfig; each count but the last two is a part of `desired`."""

    desired: int = 0
    """Assigned to this ProxyConfig."""
    updated: int = 0
    """Of them, those whose agent has applied the current revision."""
    ready: int = 0
    failing: int = 0
    """Whose agent, or its pod, says that something is wrong."""
    unreachable: int = 0
    """Whose kubelet does not answer: what the kernel does there is not known."""
    overlapping: int = 0
    """Selected, but assigned to another ProxyConfig of higher priority or age."""
    unassigned: int = 0
    """In the whole cluster, nodes that no ProxyConfig selects."""


class WorstNode(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A node that is not ready, in its own words."""

    node: str
    reason: str
    message: str = ""


class ProxyConfigStatus(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Written by the operator alone."""

    observed_generation: int = NOT_OBSERVED
    revision: str = ""
    summary: str = ""
    """`ready/desired`, for people and columns."""
    nodes: NodeCounts = NodeCounts()
    rollout: RolloutStatus | None = None
    plan: PlanStatus | None = None
    """What waits while the rollout is paused."""
    modes: Mapping[str, int] = msgspec.field(default_factory=dict)
    """Nodes by the mode that runs there."""
    mode_summary: str = ""
    """The same for people and columns, most nodes first."""
    shadow: FleetShadow | None = None
    worst_nodes: tuple[WorstNode, ...] = ()
    conditions: tuple[Condition, ...] = ()


class ProxyConfig(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    metadata: Metadata
    spec: ProxyConfigSpec
    status: ProxyConfigStatus = ProxyConfigStatus()

    @classmethod
    def parse(cls, manifest: Mapping[str, Any] | bytes) -> ProxyConfig:
        """A ProxyConfig from its JSON, or from what a YAML or JSON reader made of it. Unknown fields are ignored.

        Raises InvalidSpec naming every field that is wrong, by the same rules as the API server."""
        config = codec.decode(manifest, cls)
        problems = contradictions(config.metadata.name, config.spec)
        if problems:
            raise InvalidSpec(problems)
        return config
