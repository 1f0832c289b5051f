"""Which node belongs to which ProxyConfig. Pure.

Of the ProxyConfigs that select a node the one with the highest `priority` gets it, then the oldest, then the first by name: a
total order, so the answer does not depend on the order of events. One that is being deleted gets nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from proxyconfig_operator.model.objects import Config, Node

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Assignment:
    """All names are sorted."""

    members: Mapping[str, tuple[str, ...]]
    """The nodes of each ProxyConfig; every ProxyConfig is a key."""
    winners: Mapping[str, str]
    """The ProxyConfig of each node that has one."""
    overlaps: Mapping[str, Mapping[str, str]]
    """Of each ProxyConfig that does not get all that it selects: those nodes, with who got them."""
    unselected: tuple[str, ...]
    """Linux nodes that no ProxyConfig selects."""


def assign(configs: Iterable[Config], nodes: Iterable[Node]) -> Assignment:
    """Give each Linux node to at most one ProxyConfig: there is no agent for another system, so those nodes are not spoken of."""
    every = tuple(configs)
    ranked = sorted((config for config in every if config.metadata.deletion_timestamp is None), key=_rank)
    members: dict[str, list[str]] = {config.metadata.name: [] for config in every}
    winners: dict[str, str] = {}
    overlaps: dict[str, dict[str, str]] = {}
    unselected: list[str] = []
    for name, labels in sorted((node.metadata.name, node.metadata.labels or {}) for node in nodes if node.runs_linux):
        selecting = [config.metadata.name for config in ranked if config.spec.node_selector.matches(labels)]
        if not selecting:
            unselected.append(name)
            continue
        winners[name] = selecting[0]
        members[selecting[0]].append(name)
        for loser in selecting[1:]:
            overlaps.setdefault(loser, {})[name] = selecting[0]
    return Assignment({name: tuple(nodes_) for name, nodes_ in members.items()}, winners, overlaps, tuple(unselected))


def _rank(config: Config) -> tuple[int, datetime, str]:
    return -config.spec.priority, config.metadata.creation_timestamp or _NEVER, config.metadata.name
