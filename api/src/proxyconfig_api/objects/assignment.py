"""Which node belongs to which ProxyConfig. Pure.

Of the ProxyConfigs that select a node the one with the highest `priority` gets it, then the oldest, then the first by name: a
total order, so the answer does not depend on the order of events. One that is being deleted gets nothing. The operator places
agents by it, and the command line tells beforehand what it will do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from proxyconfig_api.objects.metadata import Metadata
from proxyconfig_api.objects.names import CONFIG_LABEL
from proxyconfig_api.objects.proxyconfig import ProxyConfig
from proxyconfig_api.spec.sections import ProxyConfigSpec
from proxyconfig_api.values.selector import LabelSelector

OS_LABEL = "kubernetes.io/os"
"""Of Nodes; kubelet sets it."""

_NEVER = datetime.max.replace(tzinfo=UTC)
_FIRST = 2**31 - 1


class Claim(Protocol):
    """A ProxyConfig."""

    @property
    def metadata(self) -> Metadata: ...
    @property
    def spec(self) -> ProxyConfigSpec: ...


class Labelled(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def labels(self) -> Mapping[str, str] | None: ...


class Machine(Protocol):
    """A Node."""

    @property
    def metadata(self) -> Labelled: ...


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


def assign(configs: Iterable[Claim], nodes: Iterable[Machine]) -> Assignment:
    """Give each Linux node to at most one ProxyConfig: there is no agent for another system, so those nodes are not spoken of."""
    every = tuple(configs)
    ranked = sorted((config for config in every if config.metadata.deletion_timestamp is None), key=_rank)
    members: dict[str, list[str]] = {config.metadata.name: [] for config in every}
    winners: dict[str, str] = {}
    overlaps: dict[str, dict[str, str]] = {}
    unselected: list[str] = []
    for name, labels in sorted((node.metadata.name, node.metadata.labels or {}) for node in nodes if _runs_linux(node)):
        selecting = [config.metadata.name for config in ranked if config.spec.node_selector.matches(labels)]
        if not selecting:
            unselected.append(name)
            continue
        winners[name] = selecting[0]
        members[selecting[0]].append(name)
        for loser in selecting[1:]:
            overlaps.setdefault(loser, {})[name] = selecting[0]
    return Assignment({name: tuple(nodes_) for name, nodes_ in members.items()}, winners, overlaps, tuple(unselected))


def kept(manifest: Mapping[str, Any]) -> ProxyConfig:
    """In the place of a ProxyConfig that cannot be understood, as an older schema may let through what we refuse: one that has the nodes
    with its label, which must neither be cleaned nor given away for that. Raises InvalidSpec if it has no usable metadata."""
    bare = ProxyConfig.parse({"metadata": manifest.get("metadata"), "spec": {}})
    keeping = LabelSelector(match_labels={CONFIG_LABEL: bare.metadata.name})
    return msgspec.structs.replace(bare, spec=ProxyConfigSpec(node_selector=keeping, priority=_FIRST))


def _runs_linux(node: Machine) -> bool:
    return (node.metadata.labels or {}).get(OS_LABEL) == "linux"


def _rank(config: Claim) -> tuple[int, datetime, str]:
    return -config.spec.priority, config.metadata.creation_timestamp or _NEVER, config.metadata.name
