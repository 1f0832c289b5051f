"""What the tables of one family hold, read from what iptables-save prints. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field

from proxyconfig_agent.dataplane.iptables.model import chain_names
from proxyconfig_agent.dataplane.iptables.model.canonical import EMPTY, digested
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Table

_OURS = frozenset((*chain_names.FIXED, *chain_names.OF_IPVS, Chain(Table.FILTER, chain_names.KUBELET_FIREWALL)))
_TABLES = frozenset(Table)


class Saved(Struct):
    """The chains that concern us. Ten thousands of them are Services' own: of those there is a digest only."""

    own: dict[str, int] = field(default_factory=dict)
    """The chains of table nat that are a Service port's, by name, each with the digest of its rules."""
    chains: dict[Chain, list[str]] = field(default_factory=dict)
    """The chains of all Services and the built-in ones, with the rules as they are printed behind `-A CHAIN `."""
    foreign: set[Chain] = field(default_factory=set)
    """Chains that rules of other programs' chains lead to."""
    kubelet: bool = False
    """Whether a kubelet keeps its chains here; KUBE-FIREWALL is one of them."""


def parse(lines: Iterable[str]) -> Saved:
    """Read the output of iptables-save; tables and chains of others are passed over."""
    saved, table = Saved(), None
    for line in lines:
        if line.startswith("*"):
            name = line[1:].strip()
            table = Table(name) if name in _TABLES else None
        elif table is not None and line.startswith("-A "):
            _take(saved, table, line)
        elif table is not None and line.startswith(":"):
            _declare(saved, table, line)
    return saved


def _declare(saved: Saved, table: Table, line: str) -> None:
    """`:NAME POLICY [packets:bytes]`; a chain that is not built in has the policy `-`."""
    name, policy = line[1:].split(" ", 2)[:2]
    if table is Table.NAT and chain_names.is_of_service(name):
        saved.own.setdefault(name, EMPTY)
    elif name in chain_names.KUBELETS:
        saved.kubelet = True
    elif policy != "-" or Chain(table, name) in _OURS:
        saved.chains.setdefault(Chain(table, name), [])


def _take(saved: Saved, table: Table, line: str) -> None:
    name, _, rule = line[3:].rstrip("\n").partition(" ")
    if table is Table.NAT and name in saved.own:
        saved.own[name] = digested(saved.own[name], rule)
        return
    chain = Chain(table, name)
    if chain in saved.chains:
        saved.chains[chain].append(rule)
    else:
        target = Chain(table, rule.rpartition("-j ")[2].split(" ", 1)[0])
        if target in _OURS or (table is Table.NAT and chain_names.is_of_service(target.name)):
            saved.foreign.add(target)
