"""Both rule sets of one family in iptables mode, as `checks.walker.iptables` walks them. Pure."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from msgspec import Struct

from proxyconfig_agent.checks.shadow.comparison import Side
from proxyconfig_agent.checks.shadow.flows import NodeAddresses
from proxyconfig_agent.checks.walker.iptables.rules import IptablesRules
from proxyconfig_agent.dataplane.iptables.delta import by_chain
from proxyconfig_agent.dataplane.iptables.lower import lower
from proxyconfig_agent.dataplane.iptables.model import chain_names
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Features, Table
from proxyconfig_agent.dataplane.iptables.model.static_rules import fixed
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.ingest.model import Family, text_of
from proxyconfig_agent.select.frontends import Frontends

_BUILT_IN = tuple(Chain(table, name) for table in Table for name in ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"))
_OURS = re.compile(r"-j KUBE-")
_ADDRESS = re.compile(r"(?<!! )-d ([^\s/]+)(?:/(?:32|128))? ")
_PORT = re.compile(r"--dport (\d+) ")
_TO_NODE_PORTS = f"-j {chain_names.NODE_PORTS}"
_BY_NODE_PORT = Chain(Table.NAT, chain_names.NODE_PORTS)
_BY_ADDRESS = tuple(
    Chain(table, name)
    for table in (Table.NAT, Table.FILTER)
    for name in (chain_names.SERVICES, chain_names.EXTERNAL_SERVICES, chain_names.PROXY_FIREWALL)
)


class _Shared(Struct, frozen=True):
    """The rules of a chain that all Services share, by the address or node port that they match: made once, asked for each Service."""

    rules: tuple[str, ...]
    by_value: Mapping[str, Sequence[int]]
    others: Sequence[int]
    """Those that match no single value, and those that lead to the node ports, which match an address of the node."""

    def about(self, values: Iterable[str]) -> tuple[str, ...]:
        """Those that packets for these values meet, in their order."""
        return tuple(
            self.rules[place] for place in sorted({*self.others, *(place for value in values for place in self.by_value.get(value, ()))})
        )


@dataclass(frozen=True)
class Chains:
    """Of built-in chains only the jumps to chains of kube-proxy: what others have there acts on both rule sets alike."""

    chains: MutableMapping[Chain, tuple[str, ...]]

    def sides(self, ports: Sequence[Frontends], settings: Settings, node: NodeAddresses) -> tuple[Side, Side]:
        """These rules, and those that iptables mode makes, as packets for these Service ports of one family meet them."""
        family = ports[0].family
        both = self.about(ports), desired(ports, settings, family)
        theirs, own = (Side(IptablesRules({family.value: chains}), node) for chains in both)
        return theirs, own

    def about(self, ports: Sequence[Frontends]) -> Chains:
        """Without the rules that match a single other address, or another node port: packets for these ports do not meet those, and there
        are thousands."""
        every = [address for port in ports for address in (port.cluster_ip, *port.external_ips, *port.load_balancer_ips)]
        addresses, node_ports = {text_of(address) for address in every if address}, {str(port.node_port) for port in ports}
        own = {chain: shared.about(node_ports if chain == _BY_NODE_PORT else addresses) for chain, shared in self._shared.items()}
        return Chains(ChainMap(own, self.chains))

    @cached_property
    def _shared(self) -> Mapping[Chain, _Shared]:
        patterns = dict.fromkeys(_BY_ADDRESS, _ADDRESS) | {_BY_NODE_PORT: _PORT}
        return {chain: _shared(self.chains[chain], pattern) for chain, pattern in patterns.items() if chain in self.chains}


def saved(lines: Iterable[str]) -> Chains:
    """What iptables-save prints, of tables that kube-proxy uses."""
    chains: dict[Chain, list[str]] = {chain: [] for chain in _BUILT_IN}
    table: Table | None = None
    for line in lines:
        if line.startswith("*"):
            name = line[1:].strip()
            table = Table(name) if name in set(Table) else None
        elif table is not None and line.startswith(":KUBE-"):
            chains.setdefault(Chain(table, line[1:].split(" ", 1)[0]), [])
        elif table is not None and line.startswith("-A "):
            name, _, rule = line[3:].rstrip("\n").partition(" ")
            chain = Chain(table, name)
            if name.startswith("KUBE-") or (chain in chains and _OURS.search(rule)):
                chains.setdefault(chain, []).append(rule)
    return Chains({chain: tuple(rules) for chain, rules in chains.items()})


def desired(ports: Iterable[Frontends], settings: Settings, family: Family) -> Chains:
    """What iptables mode makes of these Service ports."""
    there, features = fixed(settings, family, Features()), Features()
    chains: dict[Chain, list[str]] = {chain: [] for chain in _BUILT_IN}
    for chain, rule in reversed(there.jumps):
        chains[chain].append(rule)
    chains |= {chain: list(rules) for chain, rules in there.chains.items()}
    chains.setdefault(Chain(Table.FILTER, chain_names.KUBELET_FIREWALL), [])
    for port in ports:
        rules = lower(port, settings, features, large=False)
        for chain, own in by_chain(rules).items():
            chains[chain] += own
        chains |= {Chain(Table.NAT, name): list(own) for name, own in rules.own.items()}
    for chain, last in there.last.items():
        chains[chain] += last
    return Chains({chain: tuple(rules) for chain, rules in chains.items()})


def _shared(rules: tuple[str, ...], value: re.Pattern[str]) -> _Shared:
    by_value: dict[str, list[int]] = {}
    others: list[int] = []
    for place, rule in enumerate(rules):
        found = None if rule.endswith(_TO_NODE_PORTS) else value.search(rule)
        (by_value.setdefault(found[1], []) if found else others).append(place)
    return _Shared(rules, by_value, others)
