"""Service ports of one family to rules, with all that the rules depend on besides. Does no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from proxyconfig_agent.dataplane.iptables.delta import NONE
from proxyconfig_agent.dataplane.iptables.model.ruleset import Features, Fixed, PortRules, Table
from proxyconfig_agent.dataplane.iptables.programming import TO_ENDPOINTS, Programming
from proxyconfig_agent.dataplane.iptables.tools.restore import Input
from proxyconfig_agent.dataplane.port import Change, Rules, Settings
from proxyconfig_agent.dataplane.sync.quarantine import RefusedError, refusal_of
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.select.frontends import Frontends, count

LARGE = 1000
"""With more endpoints than that, their rules go without comments (kube-proxy's largeClusterEndpointsThreshold)."""


class RuleRenderer:
    """Rules are made anew from what a Service port was whenever they are needed: to keep them would take most of the memory."""

    def __init__(self, family: Family, settings: Settings, features: Features, programming: Programming = TO_ENDPOINTS) -> None:
        self.family, self._settings, self._features, self._lower = family, settings, features, programming.lower
        self.fixed = programming.fixed(settings, family, features)
        self._endpoints = 0
        self._total = Counter({table: sum(_rules(self.fixed, table)) for table in (Table.FILTER, Table.NAT)})
        self._written = Counter[Table]()

    def begin(self) -> None:
        """A sync begins."""
        self._written.clear()

    def tally(self, old: PortRules, new: PortRules) -> None:
        """The rules of a Service port change."""
        for rules, sign in ((old, -1), (new, 1)):
            self._total[Table.NAT] += sign * sum(map(len, rules.own.values()))
            for chain, _ in rules.shared:
                self._total[chain.table] += sign

    def counted(self) -> Mapping[tuple[Family, str], Rules]:
        """The rules of Services, and those that there always are."""
        return {(self.family, table.value): Rules(total, self._written[table]) for table, total in self._total.items()}

    def count(self, changes: Iterable[Change]) -> None:
        """These are in effect: rules that are made from now on may be those of a large cluster. Those that are written stay as they are."""
        self._endpoints += sum(_endpoints(change.new) - _endpoints(change.old) for change in changes)

    def rules(self, frontends: Frontends | None) -> PortRules:
        """Raises RefusedError for a fault of the agent."""
        if frontends is None:
            return NONE
        try:
            return self._lower(frontends, self._settings, self._features, large=self._endpoints > LARGE)
        except Exception as error:  # a fault of the agent, which concerns this Service alone
            raise RefusedError(refusal_of(frontends.name.service, error)) from error

    def rules_if_any(self, frontends: Frontends) -> PortRules:
        """None for a Service port that no rules can be made for."""
        try:
            return self.rules(frontends)
        except RefusedError:
            return NONE

    def input(self) -> Input:
        """An empty one."""
        return Input(self.fixed.last.keys(), self._written)


def _rules(fixed: Fixed, table: Table) -> Iterator[int]:
    """How many rules each chain has."""
    return (len(rules) for chains in (fixed.chains, fixed.last) for chain, rules in chains.items() if chain.table is table)


def _endpoints(frontends: Frontends | None) -> int:
    if frontends is None:
        return 0
    return max(count(frontends.cluster, frontends.family), count(frontends.local, frontends.family))
