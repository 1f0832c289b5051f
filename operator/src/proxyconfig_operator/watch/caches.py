"""What the operator knows of the cluster, and which ProxyConfig a change of it concerns. Filled by reflectors, and by kopf."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime

from proxyconfig_api.objects import names
from proxyconfig_api.objects.assignment import Assignment, assign
from proxyconfig_api.objects.nodeproxy import NodeProxy
from proxyconfig_operator.decide.agent_daemonset import Installation
from proxyconfig_operator.decide.snapshot import Snapshot
from proxyconfig_operator.model.objects import Config, DaemonSet, Node, Pod, Revision
from proxyconfig_operator.watch.heartbeats import Heartbeats
from proxyconfig_operator.watch.observations import Observations
from proxyconfig_operator.watch.store import Store

ORPHANS = ""
"""Stands among the names of ProxyConfigs for the nodes whose ProxyConfig has gone."""


class Caches:
    def __init__(self, wake: Callable[[str], None], observations: Observations) -> None:
        """`wake` is called with the name of each ProxyConfig that a change concerns, or with ORPHANS."""
        self._wake, self._observations = wake, observations
        self.configs: Store[Config] = Store(self._config_changed)
        self.nodes: Store[Node] = Store(self._node_changed)
        self.proxies: Store[NodeProxy] = Store(self._proxy_changed)
        self.heartbeats = Heartbeats(self._heard)
        self.pods: Store[Pod] = Store(self._pod_changed)
        self.probe_pods: Store[Pod] = Store(self._labelled)
        self.revisions: Store[Revision] = Store(self._labelled)
        self.daemonsets: Store[DaemonSet] = Store(self._labelled)
        self._assigned: tuple[tuple[int, int], Assignment] = (-1, -1), assign((), ())

    def wake_all(self) -> None:
        for name in (ORPHANS, *self.configs.items):
            self._wake(name)

    def assignment(self) -> Assignment:
        """The assignment of the moment; worked out again only when a ProxyConfig or a Node has changed."""
        versions = (self.configs.version, self.nodes.version)
        if self._assigned[0] != versions:
            self._assigned = versions, assign(self.configs.items.values(), self.nodes.items.values())
        return self._assigned[1]

    def snapshot(self, installation: Installation, removal_deadline_s: float) -> Snapshot:
        """What is known at this moment; it does not change while it is decided on."""
        return Snapshot(
            configs=dict(self.configs.items),
            nodes=dict(self.nodes.items),
            proxies=dict(self.proxies.items),
            pods=dict(self.pods.items),
            revisions=dict(self.revisions.items),
            daemonsets=dict(self.daemonsets.items),
            assignment=self.assignment(),
            installation=installation,
            removal_deadline_s=removal_deadline_s,
            waits=self._observations.waits(),
            now=datetime.now(UTC),
            probe_pods=dict(self.probe_pods.items),
        )

    def probes_awaited(self, config: str, nodes: Collection[str]) -> None:
        """Changes of a ProxyConfig wait for the probe pods of these nodes, and of no other."""
        self._observations.probes_awaited(config, nodes)

    def _config_changed(self, old: Config | None, new: Config | None) -> None:
        self._observations.config_changed(old, new)
        self.wake_all()

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        self._observations.node_changed(old, new)
        self.wake_all()

    def _heard(self, node: str) -> None:
        """An agent that gives a sign of life concerns its ProxyConfig only after a silence: thousands do, all the time."""
        if self._observations.heard(node):
            self._proxy_concerns(self.proxies.items.get(node), None)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        self._observations.pod_changed(old, new)
        self._labelled(old, new)

    def _proxy_changed(self, old: NodeProxy | None, new: NodeProxy | None) -> None:
        self._observations.proxy_changed(old, new)
        self._proxy_concerns(old, new)

    def _proxy_concerns(self, old: NodeProxy | None, new: NodeProxy | None) -> None:
        """The ProxyConfig that it names, and the one that its node belongs to: by the assignment that was worked out last, for working one
        out takes as long as there are nodes. If it is out of date, all ProxyConfigs wait for their turn since it is."""
        winners = self._assigned[1].winners
        concerned = {item.spec.config_name for item in (old, new) if item is not None}
        concerned |= {winners.get(item.metadata.name, "") for item in (old, new) if item is not None}
        for name in concerned:
            self._wake(name if name in self.configs.items else ORPHANS)

    def _labelled(self, old: Pod | Revision | DaemonSet | None, new: Pod | Revision | DaemonSet | None) -> None:
        for item in (old, new):
            if item is not None and (name := item.metadata.label(names.CONFIG_LABEL)) in self.configs.items:
                self._wake(name)
