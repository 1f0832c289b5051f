"""Both tables of one family in nftables mode, as `checks.walker.nftables` walks them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from proxyconfig_agent.checks.shadow.comparison import Side
from proxyconfig_agent.checks.shadow.flows import NodeAddresses
from proxyconfig_agent.checks.walker.nftables import tables
from proxyconfig_agent.checks.walker.nftables.rules import NftablesRules
from proxyconfig_agent.dataplane.nftables.kernel.changes import class_elements
from proxyconfig_agent.dataplane.nftables.model import sets
from proxyconfig_agent.dataplane.nftables.model.base_chains import fixed
from proxyconfig_agent.dataplane.nftables.model.endpoint_chains import chain_of
from proxyconfig_agent.dataplane.nftables.model.table import TABLE
from proxyconfig_agent.dataplane.nftables.table.state import TableState
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.dataplane.tables.model.elements import encoded
from proxyconfig_agent.dataplane.tables.model.ruleset import NFPROTO, Chain, Container, Elements, Fixed
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink.frames import attributes
from proxyconfig_agent.select.frontends import Frontends

KUBE_PROXY = "kube-proxy"
"""The name of its tables."""


class KubeProxyTable(Struct, frozen=True):
    """kube-proxy's table of one family."""

    family: Family
    table: tables.Table

    def sides(self, ports: Sequence[Frontends], settings: Settings, node: NodeAddresses) -> tuple[Side, Side]:
        """Its rules, and those that nftables mode makes of these Service ports. A lookup leads to what concerns these ports alone, so
        the rest of the table costs nothing. Raises RefusedError."""
        protocol = NFPROTO[self.family]
        own = desired(ports, settings, self.family)
        theirs = NftablesRules({(protocol, KUBE_PROXY): self.table})
        return Side(theirs, node), Side(NftablesRules({(protocol, TABLE): own}), node)


def desired(ports: Iterable[Frontends], settings: Settings, family: Family) -> tables.Table:
    """What nftables mode makes of these Service ports in an empty kernel. Raises RefusedError."""
    state, there = TableState(family, lambda: 0.0), fixed(settings, family)
    of_ports = state.delta(state.lower({port.name: port for port in ports}, settings)).added
    picks = state.classes.codes
    codes = class_elements(picks)
    return filled(there, {pick.chain: chain_of(pick, family) for pick in picks}, ({sets.CLASSES: codes, sets.PICKS: codes}, of_ports))


def filled(there: Fixed, further: Mapping[str, Chain], elements: Iterable[Elements]) -> tables.Table:
    """What a mode makes of Settings alone, with further chains and elements."""
    chains = {name: _chain(chain) for name, chain in (*there.chains.items(), *further.items())}
    every = (there.elements, *elements)
    return tables.Table(b"", chains, {name: _set(name, container, every) for name, container in there.containers.items()})


def _chain(chain: Chain) -> tables.Chain:
    rules = tuple(tables.Rule(rule.expressions, b"") for rule in chain.rules)
    if chain.hook is None:
        return tables.Chain(b"", rules=rules)
    return tables.Chain(b"", chain.hook.kind, chain.hook.number, chain.hook.priority, rules=rules)


def _set(name: str, container: Container, every: Iterable[Elements]) -> tables.Set:
    value_length = container.value[1] if container.value else 0
    made = tables.Set(b"", container.flags, container.key_length, value_length, container.size, container.fields)
    for elements in every:
        for _, payload in attributes(b"".join(encoded(elements.get(name, {}).items()))):
            made.add(payload)
    return made
