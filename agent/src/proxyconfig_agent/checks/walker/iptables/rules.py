"""The tables of a node as rules that packets meet: which chains at which hook, and what targets do."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import takewhile
from types import MappingProxyType
from typing import Protocol

from proxyconfig_agent.checks.walker.iptables.matches import Rule, masked, rule_of
from proxyconfig_agent.checks.walker.iptables.sets import IpSet
from proxyconfig_agent.checks.walker.path import Hook, Passage, Verdict
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Table

_MANGLE, _DESTINATION, _FILTER, _SOURCE = (-150, Table.MANGLE), (-100, Table.NAT), (0, Table.FILTER), (100, Table.NAT)
"""NF_IP_PRI_*."""
_ORDER: Mapping[Hook, tuple[tuple[int, Table], ...]] = {
    Hook.PREROUTING: (_MANGLE, _DESTINATION),
    Hook.INPUT: (_MANGLE, _FILTER, _SOURCE),
    Hook.FORWARD: (_MANGLE, _FILTER),
    Hook.OUTPUT: (_MANGLE, _DESTINATION, _FILTER),
    Hook.POSTROUTING: (_MANGLE, _SOURCE),
}
_DEEPEST = 16


class Chains(Protocol):
    """The chains of one family, with the text of their rules behind `-A CHAIN `."""

    @property
    def chains(self) -> Mapping[Chain, Sequence[str]]: ...


Sets = Mapping[str, IpSet]


class IptablesRules:
    """`tables` by IP version; they may change between packets. `sets` of ip_set by name."""

    def __init__(self, tables: Mapping[int, Chains], sets: Sets = MappingProxyType({})) -> None:
        self._tables, self._sets = tables, sets

    def meet(self, hook: Hook, passage: Passage, after: float = -math.inf, before: float = math.inf) -> Verdict:
        """`after` and `before`: only the tables whose priorities are between them. Raises ValueError, KeyError."""
        packet, tables = passage.packet, self._tables[passage.packet.family]
        for priority, table in _ORDER[hook]:
            settled = packet.source_settled if hook is Hook.POSTROUTING else packet.destination_settled
            if not after < priority < before or (table is Table.NAT and settled):
                continue
            verdict = self._walk(tables, Chain(table, hook.name), passage, 0)
            if verdict in (Verdict.DROP, Verdict.REJECT):
                return verdict
        return Verdict.ACCEPT

    def _walk(self, tables: Chains, chain: Chain, passage: Passage, depth: int) -> Verdict | None:
        """The verdict of a chain; None at its end, where the policy of a built-in one is to accept. Raises ValueError, KeyError."""
        if depth >= _DEEPEST:
            raise ValueError(f"{chain.name} of table {chain.table} is more than {_DEEPEST} jumps away from a built-in chain")
        for rule in _matching(tables.chains[chain], passage, self._sets):
            if rule.target == "RETURN":
                return None
            if rule.target in _TARGETS:
                verdict = _TARGETS[rule.target](rule, passage)
            else:
                verdict = self._walk(tables, Chain(chain.table, rule.target), passage, depth + 1) if rule.target else None
            if verdict is not None:
                return verdict
        return None


def _matching(texts: Sequence[str], passage: Passage, sets: Sets) -> Iterator[Rule]:
    """The rules that the packet meets, one after the other. Of successive ones that match all packets by chance, as a Service has one for
    each endpoint, one is drawn at once: the work does not grow with their number."""
    at = 0
    while at < len(texts):
        rule = rule_of(texts[at])
        if _is_by_chance(rule):
            shares = _shares(tuple(texts), at)
            drawn = passage.choices.among(shares)
            at += drawn
            if drawn == len(shares) - 1:
                continue
            yield rule_of(texts[at])
        elif _is_met(rule, passage, sets):
            yield rule
        at += 1


def _is_by_chance(rule: Rule) -> bool:
    return rule.share < 1 and not rule.matches and not rule.sets and not rule.destination


def _is_met(rule: Rule, passage: Passage, sets: Sets) -> bool:
    if rule.destination and rule.destination != passage.packet.destination:
        return False
    if not all(match(passage) for match in rule.matches) or not all(each.is_met(passage.packet, sets) for each in rule.sets):
        return False
    return rule.share == 1 or passage.choices.among([rule.share, 1 - rule.share]) == 0


@lru_cache(maxsize=256)
def _shares(texts: tuple[str, ...], start: int) -> tuple[Fraction, ...]:
    """How many packets each rule takes of those that match by chance from `start` on; at last, how many none of them takes."""
    found, rest = list[Fraction](), Fraction(1)
    for rule in takewhile(_is_by_chance, map(rule_of, texts[start:])):
        found.append(rest * rule.share)
        rest -= found[-1]
    return (*found, rest)


def _translate(rule: Rule, passage: Passage) -> Verdict:
    address, _, port = rule.options["--to-destination"].rpartition(":")
    passage.packet.destination = ipaddress.ip_address(address.strip("[]")).packed
    passage.packet.port = int(port)
    passage.packet.translated = True
    return Verdict.ACCEPT


def _mark(rule: Rule, passage: Passage) -> None:
    packet = passage.packet
    match rule.options:
        case {"--or-mark": bits}:
            packet.mark |= int(bits, 0)
        case {"--xor-mark": bits}:
            packet.mark ^= int(bits, 0)
        case {"--set-xmark": bits}:
            value, mask = masked(bits)
            packet.mark = packet.mark & ~mask ^ value
        case _:
            raise ValueError(f"MARK {rule.options} is not known here")


def _masquerade(_: Rule, passage: Passage) -> Verdict:
    passage.packet.masqueraded = True
    return Verdict.ACCEPT


_TARGETS = {
    "ACCEPT": lambda _, __: Verdict.ACCEPT,
    "DROP": lambda _, __: Verdict.DROP,
    "REJECT": lambda _, __: Verdict.REJECT,
    "DNAT": _translate,
    "MARK": _mark,
    "MASQUERADE": _masquerade,
}
