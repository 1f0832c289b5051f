"""What others can do to our tables: `nft` in the hands of an administrator, a firewall that is loaded anew."""

from __future__ import annotations

from random import Random

from tests.support.simulator.nftables.kernel import SimulatedKernel

from proxyconfig_agent.checks.walker.nftables.tables import Element, Set, Table
from proxyconfig_agent.dataplane.tables.model.elements import encoded, encoded_key, verdict_tail
from proxyconfig_agent.netlink.nftables import expressions as x
from proxyconfig_agent.netlink.nftables import messages as wire
from proxyconfig_agent.netlink.nftables.messages import Kind, Message

_HEADERS = 8
"""Before the key: of NFTA_SET_ELEM_KEY, and of its value."""


def damage(kernel: SimulatedKernel, random: Random) -> None:
    """One thing that somebody did, in one transaction."""
    (family, name), held = random.choice(sorted(kernel.tables.items()))
    table = wire.Table(family, name)
    chain = random.choice(sorted(held.chains))
    match random.randrange(6):
        case 0:
            messages = [wire.delete_table(table)]
        case 1:
            messages = [wire.delete_rules(table, chain)]
        case 2:
            messages = [wire.new_rule(table, chain, x.verdict(x.Verdict.DROP), b"")]
        case 3:
            messages = [wire.new_chain(table, "stranger"), wire.new_rule(table, "stranger", x.verdict(x.Verdict.DROP), b"")]
        case 4:
            messages = _without_elements(table, held, random)
        case _:
            messages = _with_other_values(table, held, random)
    kernel.commit(messages)


def _without_elements(table: wire.Table, held: Table, random: Random) -> list[Message]:
    name, elements = _some(held, random)
    return _deleted(table, name, elements)


def _with_other_values(table: wire.Table, held: Table, random: Random) -> list[Message]:
    """An element of a map gets what another has; of a verdict map, a chain that is none of its."""
    name, elements = _some(held, random)
    messages = _deleted(table, name, elements)
    for each in elements:
        key, tail = _split(each)
        other = verdict_tail("services") if each.verdict else _split(random.choice(list(held.sets[name].elements.values())))[1]
        if not each.end:
            messages += wire.element_messages(Kind.NEW_ELEMENTS, table, name, encoded([(key, other or tail)]))
    return messages


def _deleted(table: wire.Table, name: str, elements: list[Element]) -> list[Message]:
    return [*wire.element_messages(Kind.DELETE_ELEMENTS, table, name, [encoded_key(*_split(each)) for each in elements])]


def _some(held: Table, random: Random) -> tuple[str, list[Element]]:
    filled: list[tuple[str, Set]] = [(name, each) for name, each in sorted(held.sets.items()) if each.elements]
    if not filled:
        return next(iter(held.sets)), []
    name, each = random.choice(filled)
    return name, random.sample(list(each.elements.values()), min(len(each.elements), random.randint(1, 3)))


def _split(element: Element) -> tuple[bytes, bytes]:
    """Key, and everything behind it."""
    at = _HEADERS + len(element.key)
    return element.key, element.octets[at + (-at % 4) :]
