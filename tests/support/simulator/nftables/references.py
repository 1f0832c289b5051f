"""What of a table leads to its chains and looks its sets up: nf_tables deletes neither."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from proxyconfig_agent.checks.walker.nftables.tables import Rule, Table
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.nftables.decoder import decode


def is_led_to(table: Table, chain: str) -> bool:
    """Whether a rule or an element leads to a chain."""
    by_elements = (element.verdict.chain for each in table.sets.values() for element in each.elements.values() if element.verdict)
    return any(chain in jumps(rule.expressions) for rule in _rules(table)) or chain in by_elements


def is_used(table: Table, name: str) -> bool:
    """Whether a rule looks a set up."""
    return any(name in sets_used(rule.expressions) for rule in _rules(table))


@cache
def jumps(expressions: bytes) -> tuple[str, ...]:
    """The chains that a rule leads to by itself."""
    immediates = (each for each in decode(expressions) if each.name == "immediate")
    verdicts = (each.verdict(uapi.NFTA_IMMEDIATE_DATA) for each in immediates if each.number(uapi.NFTA_IMMEDIATE_DREG) == 0)
    return tuple(verdict.chain for verdict in verdicts if verdict.chain)


@cache
def sets_used(expressions: bytes) -> tuple[str, ...]:
    return tuple(each.text(uapi.NFTA_LOOKUP_SET) for each in decode(expressions) if each.name in ("lookup", "dynset"))


def _rules(table: Table) -> Iterator[Rule]:
    return (rule for chain in table.chains.values() for rule in chain.rules)
