"""How long this operator has seen what it waits for. Pure.

All of it is measured by the operator's monotonic clock from the moment at which this process first saw it: no time stamp of another
machine is read, a step of the clock changes nothing, and an operator that starts counts anew.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

APPLY_S = 300.0
"""The longest time for a node to apply a revision: the first sync of the largest measured cluster takes a fifth of it."""


@dataclass(frozen=True, slots=True)
class Waits:
    removing_s: Mapping[str, float] = field(default_factory=dict)
    """Of each NodeProxy with action Remove, by the name of its node: how long it has had it."""
    deleting_s: Mapping[str, float] = field(default_factory=dict)
    """Of each ProxyConfig with a deletionTimestamp: how long it has had it."""
    heard: Collection[str] = frozenset()
    """Nodes whose agents gave a sign of life within the grace that a heartbeat has."""
    unready_s: Mapping[str, float] = field(default_factory=dict)
    """Of each NodeProxy whose agent has not applied its revision, or is not Ready on it: for how long, since it got the revision."""
    steady_s: Mapping[str, float] = field(default_factory=dict)
    """Of all others: for how long they have been Ready on it."""
    agent_unready_s: Mapping[str, float] = field(default_factory=dict)
    """Of each node without a pod of an agent that is Ready: for how long, since the node was given something."""
    agent_ready_s: Mapping[str, float] = field(default_factory=dict)
    """Of all others: for how long they have had one."""
    starting: Collection[str] = frozenset()
    """Nodes whose agent has started, and has neither reported nor confirmed what an earlier one reported."""
    down_s: Mapping[str, float] = field(default_factory=dict)
    """Of each Node whose kubelet does not answer: for how long."""
    probing_s: Mapping[str, float] = field(default_factory=dict)
    """Of each node whose change waits for its probe pod: for how long."""
    late: Collection[str] = frozenset()
    """Nodes that have not applied their revision within APPLY_S."""
