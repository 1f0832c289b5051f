"""The nodes that a ProxyConfig is to serve, as they are now: whose turn comes next, and what is waited for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from proxyconfig_api.objects.metadata import Metadata
from proxyconfig_api.objects.nodeproxy import NodeProxy
from proxyconfig_api.spec.rollout import Rollout
from proxyconfig_cli.takeover.turns import TURN_LABEL, next_wave, waiting


@dataclass(frozen=True, slots=True)
class Fleet:
    name: str
    """The ProxyConfig's."""
    nodes: tuple[Metadata, ...]
    proxies: Mapping[str, NodeProxy] = field(default_factory=dict)
    down: Mapping[str, str] = field(default_factory=dict)
    """Nodes that are not ready, each with the words of its kubelet or of the control plane."""
    absent: frozenset[str] = frozenset()
    """Of these, those that are left out: nobody waits for them."""

    @property
    def taken(self) -> tuple[str, ...]:
        return tuple(node.name for node in self.nodes if self._is_taken(node))

    def wave(self, rollout: Rollout) -> tuple[str, ...]:
        """The nodes whose turn comes next; none while all others are down."""
        return next_wave(self.nodes, rollout, self.name, self.down)

    def late(self) -> dict[str, str]:
        """The nodes that are waited for, with the reason: those that had their turn, and if no other is left that could have it, those that
        went down before it."""
        some_can = any(not self._is_taken(node) and node.name not in self.down for node in self.nodes)
        awaited = [node for node in self.nodes if node.name not in self.absent and (self._is_taken(node) or not some_can)]
        down = {node.name: self.down[node.name] for node in awaited if node.name in self.down}
        return waiting([node.name for node in awaited if self._is_taken(node)], self.proxies) | down

    def _is_taken(self, node: Metadata) -> bool:
        return node.labels.get(TURN_LABEL) == self.name
