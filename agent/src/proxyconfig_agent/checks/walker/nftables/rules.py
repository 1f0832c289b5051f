"""Tables as rules that packets meet: the base chains of a hook, and rule after rule until a verdict."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping

from proxyconfig_agent.checks.walker.nftables.machine import Machine
from proxyconfig_agent.checks.walker.nftables.steps import REJECT, steps_of
from proxyconfig_agent.checks.walker.nftables.tables import Chain, Rule, Table
from proxyconfig_agent.checks.walker.path import Hook, Passage, Verdict
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.nftables.decoder import NftVerdict, decode
from proxyconfig_agent.netlink.nftables.rule_text import RuleText

_PROTOCOL_FAMILY = {4: uapi.NFPROTO_IPV4, 6: uapi.NFPROTO_IPV6}
_DEEPEST = 16
"""NFT_JUMP_STACK_SIZE of the kernel."""
_UNREADABLE = (ArithmeticError, LookupError, ValueError, struct.error)
"""What comes up where octets have another form than those that are known."""
_VERDICTS = {uapi.NF_ACCEPT: Verdict.ACCEPT, uapi.NF_DROP: Verdict.DROP, REJECT.code: Verdict.REJECT}


class NftablesRules:
    """`tables` by family and name; they are not to change."""

    def __init__(self, tables: Mapping[tuple[int, str], Table]) -> None:
        self._base_chains: dict[tuple[int, int], list[tuple[Table, Chain]]] = {}
        for (family, _), table in tables.items():
            for chain in table.chains.values() if not table.is_dormant else ():
                if chain.hook is not None:
                    self._base_chains.setdefault((family, chain.hook), []).append((table, chain))
        for found in self._base_chains.values():
            found.sort(key=lambda pair: pair[1].priority)

    def meet(self, hook: Hook, passage: Passage, after: float = -math.inf, before: float = math.inf) -> Verdict:
        """`after` and `before`: only the chains whose priorities are between them. Raises ValueError for a rule that is not known here,
        with its words."""
        packet = passage.packet
        for table, chain in self._base_chains.get((_PROTOCOL_FAMILY[packet.family], hook), ()):
            if not after < chain.priority < before:
                continue
            if chain.kind == "nat" and (packet.source_settled if hook is Hook.POSTROUTING else packet.destination_settled):
                continue
            verdict = _walk(Machine(table, passage), chain, 0)
            code = chain.policy if verdict is None else verdict.code
            if code not in _VERDICTS:
                raise ValueError(f"verdict {code} is not known here")
            if code != uapi.NF_ACCEPT:
                return _VERDICTS[code]
        return Verdict.ACCEPT


def _walk(machine: Machine, chain: Chain, depth: int) -> NftVerdict | None:
    """The verdict of a chain; None at its end, and after NFT_RETURN."""
    if depth >= _DEEPEST:
        raise ValueError(f"a chain is more than {_DEEPEST} jumps away from its base chain")
    for rule in chain.rules:
        verdict = _executed(machine, rule)
        if verdict is None:
            continue
        match verdict.code:
            case uapi.NFT_JUMP:
                if found := _walk(machine, machine.table.chains[verdict.chain], depth + 1):
                    return found
            case uapi.NFT_GOTO:
                return _walk(machine, machine.table.chains[verdict.chain], depth)
            case uapi.NFT_RETURN:
                return None
            case _:
                return verdict
    return None


def _executed(machine: Machine, rule: Rule) -> NftVerdict | None:
    """None if the next rule follows."""
    try:
        for step in steps_of(rule.expressions):
            verdict = step(machine)
            if verdict is not None:
                return None if verdict.code in (uapi.NFT_BREAK, uapi.NFT_CONTINUE) else verdict
    except _UNREADABLE as error:
        raise ValueError(f"{error}, in the rule `{_words(machine, rule)}`") from error
    return None


def _words(machine: Machine, rule: Rule) -> str:
    """As nft prints it; of a rule that has what it does not know, the names of the expressions."""
    lengths = {name: held.key_length for name, held in machine.table.sets.items()}
    try:
        return RuleText(_PROTOCOL_FAMILY[machine.packet.family], lengths).of(rule.expressions)
    except _UNREADABLE:
        return " ".join(expression.name for expression in decode(rule.expressions))
