"""Service ports of one family to rules, with all that the rules depend on besides. Does no I/O."""

from __future__ import annotations

from collections.abc import Iterable

from proxyconfig_agent.dataplane import Change, Settings
from proxyconfig_agent.ingest.values import Family
from proxyconfig_agent.iptables.delta import NONE
from proxyconfig_agent.iptables.fixed import fixed
from proxyconfig_agent.iptables.lower import lower
from proxyconfig_agent.iptables.restore import Input
from proxyconfig_agent.iptables.ruleset import Features, PortRules
from proxyconfig_agent.select.frontends import Frontends, count

LARGE = 1000
"""With more endpoints than that, their rules go without comments (kube-proxy's largeClusterEndpointsThreshold)."""


class Lowering:
    """Rules are made anew from what a Service port was whenever they are needed: to keep them would take most of the memory."""

    def __init__(self, family: Family, settings: Settings, features: Features) -> None:
        self.family, self._settings, self._features = family, settings, features
        self.fixed = fixed(settings, family, features)
        self._endpoints = 0

    def count(self, changes: Iterable[Change]) -> None:
        """These are in effect: rules that are made from now on may be those of a large cluster. Those that are written stay as they are."""
        self._endpoints += sum(_endpoints(change.new) - _endpoints(change.old) for change in changes)

    def rules(self, frontends: Frontends | None) -> PortRules:
        if frontends is None:
            return NONE
        return lower(frontends, self._settings, self._features, large=self._endpoints > LARGE)

    def input(self) -> Input:
        """An empty one."""
        return Input(self.fixed.last.keys())


def _endpoints(frontends: Frontends | None) -> int:
    if frontends is None:
        return 0
    return max(count(frontends.cluster, frontends.family), count(frontends.local, frontends.family))
