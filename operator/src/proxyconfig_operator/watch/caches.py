"""What the operator knows of the cluster, and whom a change of it concerns. Filled by reflectors, and by kopf through `handlers`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from proxyconfig_api import names
from proxyconfig_api.nodeproxy import NodeProxy
from proxyconfig_operator.decide.agent_daemonset import Installation
from proxyconfig_operator.decide.assignment import Assignment, assign
from proxyconfig_operator.decide.snapshot import Snapshot
from proxyconfig_operator.model.objects import Config, DaemonSet, Node, Pod, Revision
from proxyconfig_operator.watch.store import Store

STRAYS = ""
"""Stands among the names of ProxyConfigs for the nodes whose ProxyConfig is no more."""


class Caches:
    def __init__(self, wake: Callable[[str], None]) -> None:
        """`wake` is called with the name of each ProxyConfig that a change concerns, or with STRAYS."""
        self._wake = wake
        self.configs: Store[Config] = Store(lambda _old, _new: self.wake_all())
        self.nodes: Store[Node] = Store(lambda _old, _new: self.wake_all())
        self.proxies: Store[NodeProxy] = Store(self._proxy_changed)
        self.pods: Store[Pod] = Store(self._labelled)
        self.revisions: Store[Revision] = Store(self._labelled)
        self.daemonsets: Store[DaemonSet] = Store(self._labelled)
        self._assigned: tuple[tuple[int, int], Assignment] = (-1, -1), assign((), ())

    def wake_all(self) -> None:
        for name in (STRAYS, *self.configs.items):
            self._wake(name)

    def assignment(self) -> Assignment:
        """The assignment of the moment; worked out again only when a ProxyConfig or a Node has changed."""
        versions = (self.configs.version, self.nodes.version)
        if self._assigned[0] != versions:
            self._assigned = versions, assign(self.configs.items.values(), self.nodes.items.values())
        return self._assigned[1]

    def world(self, installation: Installation, removal_deadline_s: float) -> Snapshot:
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
            now=datetime.now(UTC),
        )

    def _proxy_changed(self, old: NodeProxy | None, new: NodeProxy | None) -> None:
        """It concerns whom it names, and whom its node belongs to."""
        concerned = {item.spec.config_name for item in (old, new) if item is not None}
        concerned |= {self.assignment().winners.get(item.metadata.name, "") for item in (old, new) if item is not None}
        for name in concerned:
            self._wake(name if name in self.configs.items else STRAYS)

    def _labelled(self, old: Pod | Revision | DaemonSet | None, new: Pod | Revision | DaemonSet | None) -> None:
        for item in (old, new):
            if item is not None and (name := item.metadata.label(names.CONFIG_LABEL)) in self.configs.items:
                self._wake(name)
